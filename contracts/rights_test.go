package contracts_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/messaging"
	"flixtube/chassis/messaging/brokers"
	"flixtube/contracts"
)

var hash = regexp.MustCompile(`"password_hash": "HASH-OF-([a-z-]+)", "hashing_algorithm": "[a-z0-9_]+"`)

// TestRights has RabbitMQ with the definitions of docker-compose-prod.yml: each service's user can do what the service
// does, and no more.
func TestRights(t *testing.T) {
	definitions, err := os.ReadFile("../deploy/compose/rabbitmq-definitions.json")
	if err != nil {
		t.Fatal(err)
	}
	server := chassistest.RabbitMQDefined(t, hash.ReplaceAllString(string(definitions), `"password": "$1"`))
	connect := func(user string) messaging.Connection {
		broker, err := brokers.Connect(server.URLOf(user))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { broker.Close() })
		return broker
	}
	admin := connect("admin")
	uploads := contracts.VideoUploaded.Queue("metadata")
	for service, does := range map[string]struct {
		publishes []messaging.Destination
		consumes  []messaging.Queue
		counts    []messaging.Queue
	}{
		"video-streaming": {publishes: []messaging.Destination{contracts.Viewed.Destination()}},
		"video-upload":    {publishes: []messaging.Destination{contracts.VideoUploaded.Destination()}},
		"metadata": {
			publishes: []messaging.Destination{contracts.VideoRemoved.Destination()},
			consumes:  []messaging.Queue{uploads},
		},
		"video-storage": {
			consumes: []messaging.Queue{contracts.VideoUploaded.Queue("video-storage"), contracts.VideoRemoved.Queue("video-storage")},
			counts:   []messaging.Queue{uploads, uploads.Dead()},
		},
		"history": {
			consumes: []messaging.Queue{contracts.ViewedQueue, contracts.Viewed.Queue("history"), contracts.VideoRemoved.Queue("history")},
		},
		"recommendations": {
			consumes: []messaging.Queue{contracts.Viewed.Queue("recommendations"), contracts.VideoRemoved.Queue("recommendations")},
		},
	} {
		broker := connect(service)
		message := []messaging.Message{{ID: service, Body: []byte(`{}`)}}
		for _, to := range does.publishes {
			if err := broker.Publisher(to).Publish(t.Context(), message); err != nil {
				t.Errorf("%s: %v", service, err)
			}
		}
		for _, q := range does.counts {
			if _, err := broker.Len(t.Context(), q); err != nil {
				t.Errorf("%s: %v", service, err)
			}
		}
		for _, q := range contracts.Queues() {
			if err := broker.Publisher(messaging.To(q)).Publish(t.Context(), message); err == nil {
				t.Errorf("%s writes to %s", service, q.Name)
			}
			if !slices.Contains(does.consumes, q) {
				if session, err := broker.Open(t.Context(), q, 1); err == nil {
					session.Close()
					t.Errorf("%s consumes %s", service, q.Name)
				}
				if err := broker.Publisher(messaging.To(q.Dead())).Publish(t.Context(), message); err == nil {
					t.Errorf("%s writes to %s", service, q.Dead().Name)
				}
				continue
			}
			before, err := admin.Len(t.Context(), q.Dead())
			if err != nil {
				t.Fatal(err)
			}
			if err := admin.Publisher(messaging.To(q)).Publish(t.Context(), message); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				ended <- messaging.NewConsumers(broker, slog.New(slog.DiscardHandler), messaging.Subscription{
					Queue:   q,
					Handler: messaging.Decoded(func(messaging.Message) (int, error) { return 0, errors.New("no") }, nil),
				}).Run(ctx)
			}()
			chassistest.Eventually(t, 30*time.Second, service+" dead-letters a message of "+q.Name, func() error {
				after, err := admin.Len(t.Context(), q.Dead())
				if err == nil && after <= before {
					err = errors.New("it has not")
				}
				return err
			})
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
}
