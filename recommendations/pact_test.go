//go:build pact

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"flixtube/chassis/messaging"
	"flixtube/contracts/pacttest"
)

func deliver(ctx context.Context, s *store, queue string, m messaging.Message) error {
	for _, subscription := range subscriptions(s) {
		if subscription.Queue.Name == queue {
			return subscription.Handler(ctx, []messaging.Message{m})
		}
	}
	return errors.New("recommendations does not consume " + queue)
}

func TestPactConsumer(t *testing.T) {
	streaming := pacttest.NewConsumer(t, "recommendations", "video-streaming")
	s := newTestStore(t)
	streaming.Message(pacttest.Message{
		Description: "viewed",
		Given:       pacttest.State{Name: "a viewer has watched a video"},
		Body: map[string]any{
			"viewedAt": pacttest.AnyTime("2026-03-01T10:15:30.123Z"),
			"viewer":   map[string]any{"id": pacttest.AnyString("ann")},
			"video":    map[string]any{"id": pacttest.AnyString("v1")},
		},
	}, func(m messaging.Message) error {
		if err := deliver(t.Context(), s, "recommendations.viewed", m); err != nil {
			return err
		}
		views, _, err := s.recent(t.Context(), bson.D{}, 10)
		if err != nil {
			return err
		}
		if want := []view{{Viewer: "ann", VideoID: "v1"}}; !reflect.DeepEqual(views, want) {
			return fmt.Errorf("stored %v, want %v", views, want)
		}
		return nil
	})
	streaming.Message(pacttest.Message{
		Description: "viewed",
		Given:       pacttest.State{Name: "somebody without an id has watched a video"},
		Body: map[string]any{
			"id":       pacttest.AnyString("0b8f7c1e-2f4b-4a55-9b0e-3d1c1f6f8a10"),
			"viewedAt": pacttest.AnyTime("2026-03-01T10:15:30.123Z"),
			"video":    map[string]any{"id": pacttest.AnyString("v1")},
		},
	}, func(m messaging.Message) error {
		for range 2 { // by its id it is the same view
			if err := deliver(t.Context(), s, "recommendations.viewed", m); err != nil {
				return err
			}
		}
		counts, err := s.count(t.Context(), []string{"v1"})
		if err != nil {
			return err
		}
		if counts["v1"] != 2 {
			return fmt.Errorf("%d views are counted, want those of ann and somebody", counts["v1"])
		}
		return nil
	})

	meta := pacttest.NewConsumer(t, "recommendations", "metadata")
	meta.Message(pacttest.Message{
		Description: "video-removed",
		Given:       pacttest.State{Name: "a video was removed"},
		Body:        map[string]any{"video": map[string]any{"id": pacttest.AnyString("v1")}},
	}, func(m messaging.Message) error {
		if err := deliver(t.Context(), s, "recommendations.video-removed", m); err != nil {
			return err
		}
		views, _, err := s.recent(t.Context(), bson.D{}, 10)
		if err != nil || len(views) > 0 {
			return fmt.Errorf("left: %v, %w", views, err)
		}
		return nil
	})
	meta.Exchange(pacttest.Exchange{
		Description: "the newest videos",
		Given:       pacttest.State{Name: "there is a video", Params: map[string]any{"id": "v1"}},
		Method:      http.MethodGet, Path: "/videos", Query: url.Values{"sort": {"newest"}, "limit": {"200"}},
		Status: http.StatusOK, AnswerHeaders: pacttest.JSON(),
		Answer: map[string]any{"videos": pacttest.Each(map[string]any{"_id": pacttest.AnyString("v1")})},
	}, func(base *url.URL) error {
		ids, err := newMetadata(base).newest(t.Context())
		if err == nil && !reflect.DeepEqual(ids, []string{"v1"}) {
			err = fmt.Errorf("the newest are %v", ids)
		}
		return err
	})
}

func TestPactProvider(t *testing.T) {
	pacttest.Verify(t, "recommendations", func() pacttest.Instance {
		s := newTestStore(t)
		watched := func(viewer, video string) error {
			v := viewing("", viewer, video)
			v.ViewedAt = time.Now()
			return s.record(t.Context(), []view{v})
		}
		instance := pacttest.Instance{
			Handler: newHandler(s, fakeCatalogue{}, discard),
			States: map[string]func(pacttest.Params) error{
				"somebody has watched a video": func(p pacttest.Params) error { return watched("bob", p.String("video")) },
				"viewers of a video have watched another one": func(p pacttest.Params) error {
					return errors.Join(watched("bob", p.String("video")), watched("bob", "another"))
				},
			},
		}
		return instance.WithDeadLetters(t, subscriptions(s)[0])
	})
}
