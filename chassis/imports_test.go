// Package chassis_test checks how the packages of the chassis depend on each other.
package chassis_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const (
	echo  = "github.com/labstack/echo/v4"
	amqp  = "github.com/rabbitmq/amqp091-go"
	nats  = "github.com/nats-io/nats.go"
	mongo = "go.mongodb.org/mongo-driver/v2/mongo"
	bbolt = "go.etcd.io/bbolt"
)

// TestImports: the port of messaging knows no broker, and what has no routes does not know the web framework, not even
// through another package.
func TestImports(t *testing.T) {
	for name, not := range map[string][]string{
		"messaging":           {echo, amqp, nats, mongo, bbolt},
		"messaging/rabbitmq":  {echo, nats, mongo, bbolt},
		"messaging/jetstream": {echo, amqp, mongo, bbolt},
		"messaging/brokers":   {echo, mongo, bbolt},
		"relay":               {echo, amqp, nats, mongo, bbolt},
		"outbox":              {echo, amqp, nats, mongo},
		"database":            {echo, amqp, nats, bbolt},
		"health":              {echo, amqp, nats, mongo, bbolt},
		"process":             {echo, amqp, nats, mongo, bbolt},
		"web":                 {amqp, nats, mongo, bbolt},
	} {
		output, err := exec.Command("go", "list", "-deps", "./"+name).Output()
		if err != nil {
			t.Fatal(err)
		}
		deps := strings.Fields(string(output))
		if !slices.Contains(deps, "flixtube/chassis/"+name) {
			t.Fatalf("go list -deps ./%s: %s", name, output)
		}
		for _, d := range not {
			if slices.Contains(deps, d) {
				t.Errorf("%s depends on %s", name, d)
			}
		}
	}
}
