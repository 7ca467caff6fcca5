package contracts_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/messaging"
	"flixtube/chassis/messaging/brokers"
	"flixtube/contracts"
)

// TestRights has RabbitMQ with the definitions that scripts/make-secrets makes for Compose and Kubernetes: each service's
// user can do what the service does, and no more.
func TestRights(t *testing.T) {
	chassistest.Program(t, "openssl")
	secrets := t.TempDir()
	if output, err := exec.Command(chassistest.Program(t, "bash"), "../scripts/make-secrets", secrets).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	read := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(secrets, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	login := func(user string) *url.Userinfo {
		t.Helper()
		address, err := url.Parse(read("rabbit-" + user))
		if err != nil {
			t.Fatal(err)
		}
		return address.User
	}
	server := chassistest.RabbitMQDefined(t, read("rabbit-definitions"), login("admin"))
	connect := func(user string) messaging.Connection {
		t.Helper()
		broker, err := brokers.Connect(server.URLOf(login(user)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { broker.Close() })
		return broker
	}
	admin := connect("admin")
	seesLengths(t, server.Management, login("keda"), contracts.Viewed.Queue("history").Name)
	uploads := contracts.VideoUploaded.Queue("metadata")
	for service, does := range map[string]struct {
		publishes []messaging.Destination
		consumes  []messaging.Queue
		counts    []messaging.Queue
	}{
		"keda":            {},
		"video-streaming": {publishes: []messaging.Destination{contracts.Viewed.Destination(), messaging.To(contracts.ViewedQueue)}},
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
			may := slices.ContainsFunc(does.publishes, func(to messaging.Destination) bool { return reflect.DeepEqual(to, messaging.To(q)) })
			if err := broker.Publisher(messaging.To(q)).Publish(t.Context(), message); err == nil && !may {
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

// seesLengths has a user ask RabbitMQ's management for the length of a queue, as KEDA does, and for its messages.
func seesLengths(t *testing.T, management string, user *url.Userinfo, queue string) {
	t.Helper()
	ask := func(method, path, body string) int {
		req, err := http.NewRequestWithContext(t.Context(), method, management+"/api/queues/%2F/"+queue+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	if status := ask(http.MethodGet, "", ""); status != http.StatusOK {
		t.Errorf("%s is not told the length of %s: %d", user.Username(), queue, status)
	}
	if status := ask(http.MethodPost, "/get", `{"count":1,"ackmode":"ack_requeue_false","encoding":"auto"}`); status/100 == 2 {
		t.Errorf("%s gets messages of %s", user.Username(), queue)
	}
	for _, path := range []string{"", "/contents"} {
		if status := ask(http.MethodDelete, path, ""); status/100 == 2 {
			t.Errorf("%s deletes %s%s", user.Username(), queue, path)
		}
	}
}
