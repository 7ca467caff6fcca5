package brokers_test

import (
	"strings"
	"testing"

	"flixtube/chassis/messaging/brokers"
)

// TestConnect needs no broker. An error does not show the password.
func TestConnect(t *testing.T) {
	for address, want := range map[string]string{
		"amqp://u:secret@127.0.0.1:1":   "",
		"amqps://u:secret@127.0.0.1:1":  "",
		"nats://u:secret@127.0.0.1:1":   "",
		"kafka://u:secret@127.0.0.1":    `RABBIT must start with amqp:// or nats://, not with "kafka"`,
		"http://u:secret@127.0.0.1:1":   `RABBIT must start with amqp:// or nats://, not with "http"`,
		"amqp://u:secret@127.0.0.1:%zz": "RABBIT is not a URL",
		"":                              `not with ""`,
	} {
		broker, err := brokers.Connect(address)
		if err != nil {
			if want == "" || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%q: %v", address, err)
			}
			continue
		}
		if want != "" {
			t.Errorf("%q: no error", address)
		}
		if err := broker.Close(); err != nil {
			t.Errorf("%q: close: %v", address, err)
		}
	}
}
