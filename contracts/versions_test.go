package contracts_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/messaging"
	"flixtube/chassis/messaging/brokers"
)

// The three forms of a message while its field viewer.id becomes viewerId: docs/contracts.md, "How a message changes".
const (
	before     = `{"viewer":{"id":"ann"},"video":{"id":"v"}}`
	expanded   = `{"viewer":{"id":"ann"},"viewerId":"ann","video":{"id":"v"}}`
	contracted = `{"viewerId":"ann","video":{"id":"v"}}`
)

var errNoViewer = errors.New("the message has no viewer")

// oldViewer reads the field as consumers do before the change.
func oldViewer(m messaging.Message) (string, error) {
	var v struct {
		Viewer struct {
			ID string `json:"id"`
		} `json:"viewer"`
	}
	if err := json.Unmarshal(m.Body, &v); err != nil || v.Viewer.ID == "" {
		return "", errors.Join(errNoViewer, err)
	}
	return v.Viewer.ID, nil
}

// newViewer prefers the new field.
func newViewer(m messaging.Message) (string, error) {
	var v struct {
		ViewerID string `json:"viewerId"`
	}
	if err := json.Unmarshal(m.Body, &v); err != nil || v.ViewerID == "" {
		return oldViewer(m)
	}
	return v.ViewerID, nil
}

// TestMessageChanges takes one message through an incompatible change in steps. Each consumer has a queue, in which the
// forms of two steps wait at the same time.
func TestMessageChanges(t *testing.T) {
	broker, err := brokers.Connect(chassistest.JetStream(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	for _, test := range []struct {
		step     string
		waiting  []string // forms in the queue
		decode   func(messaging.Message) (string, error)
		rejected int
	}{
		{"expand: the old consumer ignores the new field", []string{before, expanded}, oldViewer, 0},
		{"migrate: the new consumer reads what was sent before", []string{before, expanded}, newViewer, 0},
		{"contract: the new consumer does without the old field", []string{expanded, contracted}, newViewer, 0},
		{"contracting too early is what the old consumer does not survive", []string{expanded, contracted}, oldViewer, 1},
	} {
		t.Run(test.step, func(t *testing.T) {
			queue := messaging.Queue{Name: "changes-" + time.Now().Format("150405.000000000")}
			var msgs []messaging.Message
			for i, body := range test.waiting {
				msgs = append(msgs, messaging.Message{ID: string(rune('a' + i)), Body: []byte(body)})
			}
			if err := broker.Publisher(messaging.To(queue)).Publish(t.Context(), msgs); err != nil {
				t.Fatal(err)
			}
			handled := make(chan string, len(msgs))
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				ended <- messaging.NewConsumers(broker, slog.New(slog.DiscardHandler), messaging.Subscription{
					Queue: queue,
					Handler: messaging.Decoded(test.decode, func(_ context.Context, viewers []string) error {
						for _, viewer := range viewers {
							handled <- viewer
						}
						return nil
					}),
				}).Run(ctx)
			}()
			chassistest.Eventually(t, 30*time.Second, "all messages are settled", func() error {
				dead, err := broker.Len(t.Context(), queue.Dead())
				if err == nil && (dead != test.rejected || len(handled) != len(msgs)-test.rejected) {
					err = errors.New("some are not")
				}
				return err
			})
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			close(handled)
			if viewers := slices.Collect(chanValues(handled)); slices.ContainsFunc(viewers, func(v string) bool { return v != "ann" }) {
				t.Errorf("read %v", viewers)
			}
		})
	}
}

func chanValues(c <-chan string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for v := range c {
			if !yield(v) {
				return
			}
		}
	}
}
