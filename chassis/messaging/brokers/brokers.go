// Package brokers chooses the adapter for a broker's address. It is the only package that imports all of them.
package brokers

import (
	"errors"
	"fmt"
	"net/url"
	"slices"

	"flixtube/chassis/messaging"
	"flixtube/chassis/messaging/jetstream"
	"flixtube/chassis/messaging/rabbitmq"
)

// Connect returns the broker behind an amqp:// or nats:// address without waiting for it: a broker that is not there yet
// is an error of the operations, not of Connect. The caller closes it.
func Connect(address string) (messaging.Connection, error) {
	scheme, err := schemeOf(address)
	if err != nil {
		return nil, err
	}
	if scheme == "nats" || scheme == "tls" {
		return jetstream.Connect(address)
	}
	return rabbitmq.Connect(address), nil
}

// Check is the error of [Connect] about an address that is no broker's.
func Check(address string) error {
	_, err := schemeOf(address)
	return err
}

func schemeOf(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", errors.New("RABBIT is not a URL") // err would show the password
	}
	if !slices.Contains([]string{"amqp", "amqps", "nats", "tls"}, u.Scheme) {
		return "", fmt.Errorf("RABBIT must start with amqp:// or nats://, not with %q", u.Scheme)
	}
	return u.Scheme, nil
}
