// Package brokers chooses the adapter for a broker's address. It is the only package that imports all of them.
package brokers

import (
	"errors"
	"fmt"
	"net/url"

	"flixtube/chassis/messaging"
	"flixtube/chassis/messaging/jetstream"
	"flixtube/chassis/messaging/rabbitmq"
)

// Connect returns the broker behind an amqp:// or nats:// address without waiting for it: a broker that is not there yet
// is an error of the operations, not of Connect. The caller closes it.
func Connect(address string) (messaging.Connection, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("RABBIT is not a URL") // err would show the password
	}
	switch u.Scheme {
	case "amqp", "amqps":
		return rabbitmq.Connect(address), nil
	case "nats", "tls":
		return jetstream.Connect(address)
	}
	return nil, fmt.Errorf("RABBIT must start with amqp:// or nats://, not with %q", u.Scheme)
}
