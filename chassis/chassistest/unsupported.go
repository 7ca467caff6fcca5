//go:build !unix

package chassistest

import (
	"net/url"
	"testing"
)

const unix = "a system of the Unix kind, which starting this server needs,"

// RabbitMQServer does not run here.
type RabbitMQServer struct{ URL, Management string }

// RabbitMQ skips the test.
func RabbitMQ(tb testing.TB) *RabbitMQServer { tb.Helper(); Missing(tb, unix); return nil }

// RabbitMQAsInstalled skips the test.
func RabbitMQAsInstalled(tb testing.TB) *RabbitMQServer { return RabbitMQ(tb) }

// RabbitMQDefined skips the test.
func RabbitMQDefined(tb testing.TB, _ string, _ *url.Userinfo) *RabbitMQServer { return RabbitMQ(tb) }

// URLOf is never called.
func (*RabbitMQServer) URLOf(*url.Userinfo) string { return "" }

// Start is never called.
func (*RabbitMQServer) Start(testing.TB) {}

// Stop is never called.
func (*RabbitMQServer) Stop(testing.TB) {}

// Kill is never called.
func (*RabbitMQServer) Kill(testing.TB) {}

// Azurite skips the test.
func Azurite(tb testing.TB) (endpoint string) { tb.Helper(); Missing(tb, unix); return "" }
