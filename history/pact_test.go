//go:build pact

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"flixtube/chassis/messaging"
	"flixtube/contracts/pacttest"
)

const (
	pactVideo  = "5d9e690ad76fe06a3d7ae416"
	pactViewer = "Vb7Q0cJX1m2hN4tYkqZ8sL5rWfPe3aUd"
)

// deliver has the service's own handler of a queue work on one message.
func deliver(ctx context.Context, s *store, queue string, m messaging.Message) error {
	for _, subscription := range subscriptions(s) {
		if subscription.Queue.Name == queue {
			return subscription.Handler(ctx, []messaging.Message{m})
		}
	}
	return errors.New("history does not consume " + queue)
}

func TestPactConsumer(t *testing.T) {
	streaming := pacttest.NewConsumer(t, "history", "video-streaming")
	for _, queue := range []string{"history.viewed", "viewed"} {
		s := newTestStore(t)
		streaming.Message(pacttest.Message{
			Description: "viewed",
			Given:       pacttest.State{Name: "a viewer has watched a video"},
			Body: map[string]any{
				"id":       pacttest.AnyString("0b8f7c1e-2f4b-4a55-9b0e-3d1c1f6f8a10"),
				"viewedAt": pacttest.AnyTime("2026-03-01T10:15:30.123Z"),
				"viewer":   map[string]any{"id": pacttest.AnyString(pactViewer)},
				"video":    map[string]any{"id": pacttest.AnyString(pactVideo)},
			},
		}, func(m messaging.Message) error {
			if err := deliver(t.Context(), s, queue, m); err != nil {
				return err
			}
			want := view{
				ID: "0b8f7c1e-2f4b-4a55-9b0e-3d1c1f6f8a10", VideoID: pactVideo, Viewer: pactViewer,
				ViewedAt: time.Date(2026, 3, 1, 10, 15, 30, 123e6, time.UTC),
			}
			if got := mustList(t, s, pactViewer); len(got) != 1 || got[0] != want {
				return fmt.Errorf("the history is %v, want %v", got, want)
			}
			return nil
		})
	}

	metadata := pacttest.NewConsumer(t, "history", "metadata")
	s := newTestStore(t)
	metadata.Message(pacttest.Message{
		Description: "video-removed",
		Given:       pacttest.State{Name: "a video was removed"},
		Body:        map[string]any{"video": map[string]any{"id": pacttest.AnyString(pactVideo)}},
	}, func(m messaging.Message) error {
		if err := s.record(t.Context(), []view{{ID: "1", VideoID: pactVideo, Viewer: "ann", ViewedAt: time.Now()}}); err != nil {
			return err
		}
		if err := deliver(t.Context(), s, "history.video-removed", m); err != nil {
			return err
		}
		if left := mustList(t, s, "ann"); len(left) != 0 {
			return fmt.Errorf("the history still has %v", left)
		}
		return nil
	})
}

func TestPactProvider(t *testing.T) {
	pacttest.Verify(t, "history", func() pacttest.Instance {
		s := newTestStore(t)
		ctx := t.Context()
		watched := func(p pacttest.Params) error {
			return s.record(ctx, []view{{
				ID: p.String("id"), VideoID: p.String("video"), Viewer: p.String("viewer"), ViewedAt: time.Now().UTC(),
			}})
		}
		stopped := func(p pacttest.Params) error {
			return s.savePosition(ctx, position{
				VideoID: p.String("video"), Viewer: p.String("viewer"), Position: 30, Duration: 60, SavedAt: time.Now().UTC(),
			})
		}
		instance := pacttest.Instance{
			Handler: newHandler(s, slog.New(slog.DiscardHandler)),
			States: map[string]func(pacttest.Params) error{
				"nothing was watched":          func(pacttest.Params) error { return nil },
				"a viewer has watched a video": watched,
				"a viewer has stopped in a video": func(p pacttest.Params) error {
					return errors.Join(watched(p), stopped(p))
				},
			},
		}
		return instance.WithDeadLetters(t, subscriptions(s)[0])
	})
}
