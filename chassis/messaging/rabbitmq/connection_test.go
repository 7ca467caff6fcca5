package rabbitmq

import (
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
)

func TestSince(t *testing.T) {
	for version, want := range map[any]bool{
		"3.10.8": false, "4.2.9": false, "4.3.0": true, "4.3.0-rc.1": true, "4.10.0": true, "10.0.0": true, "": false, nil: false,
	} {
		c := &connection{Connection: &amqp.Connection{Properties: amqp.Table{"version": version}}}
		if got := c.since(4, 3); got != want {
			t.Errorf("%v is 4.3 or later: %v, want %v", version, got, want)
		}
	}
}
