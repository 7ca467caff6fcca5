//go:build pact

package main

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"flixtube/chassis/messaging"
	"flixtube/contracts/pacttest"
)

func TestPactConsumer(t *testing.T) {
	upload := pacttest.NewConsumer(t, "metadata", "video-upload")
	s := newTestStore(t)
	upload.Message(pacttest.Message{
		Description: "video-uploaded",
		Given:       pacttest.State{Name: "a viewer has uploaded a video with a poster"},
		Body: map[string]any{
			"uploadedAt": pacttest.AnyTime("2026-03-01T09:00:00.000Z"),
			"owner":      map[string]any{"id": pacttest.AnyString("ann")},
			"video": map[string]any{
				"id":          pacttest.AnyString("v1"),
				"name":        pacttest.AnyString("My holiday"),
				"contentType": pacttest.AnyString("video/mp4"),
				"size":        pacttest.AnyInteger(5 << 20),
				"duration":    pacttest.AnyNumber(61.5),
				"poster":      pacttest.True(),
			},
		},
	}, func(m messaging.Message) error {
		if err := subscriptions(s)[0].Handler(t.Context(), []messaging.Message{m}); err != nil {
			return err
		}
		document, err := s.find(t.Context(), "v1")
		if err != nil {
			return err
		}
		want := video{
			ID: "v1", Name: "My holiday", ContentType: "video/mp4", Size: 5 << 20, Duration: 61.5, Poster: true, Owner: "ann",
			UploadedAt: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC),
		}
		encoded, err := bson.Marshal(document)
		if err != nil {
			return err
		}
		var got video
		if err := bson.Unmarshal(encoded, &got); err != nil {
			return err
		}
		got.SearchWords = nil // the store's own
		if !reflect.DeepEqual(got, want) {
			return fmt.Errorf("stored %+v, want %+v", got, want)
		}
		return nil
	})
}

func TestPactProvider(t *testing.T) {
	pacttest.Verify(t, "metadata", func() pacttest.Instance {
		s := newTestStore(t)
		ctx := t.Context()
		store := func(p pacttest.Params) error {
			videos := []video{{
				ID: p.String("id"), Name: "My holiday", ContentType: "video/mp4", Size: 5 << 20, Duration: 61.5, Poster: true,
				Owner: p.String("owner"), UploadedAt: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC),
			}}
			for _, id := range p.Strings("ids") {
				videos = append(videos, video{ID: id, Name: id, UploadedAt: time.Now()})
			}
			if err := s.add(ctx, videos); err != nil || p.String("owner") == "" {
				return err
			}
			return s.putCaptions(ctx, p.String("id"), p.String("owner"), "ko", webVTT)
		}
		instance := pacttest.Instance{
			Handler: newHandler(s, func() {}, quiet),
			States: map[string]func(pacttest.Params) error{
				"there are no videos": func(pacttest.Params) error { return nil },
				"there is a video":    store,
				"there are videos":    store,
				"a viewer has a recovery code": func(p pacttest.Params) error {
					_, err := s.recoveries.InsertOne(ctx, recovery{p.String("viewer"), hashOf(p.String("code")), time.Now().UTC()})
					return err
				},
				"a video was removed": func(pacttest.Params) error {
					return errors.Join(store(pacttest.Params{"id": "v1", "owner": "ann"}), s.remove(ctx, "v1", "ann"))
				},
			},
			Messages: map[string]func() (messaging.Message, error){
				"video-removed": func() (messaging.Message, error) {
					waiting, _, err := newRemovals(s).Next(ctx)
					if err != nil || len(waiting) != 1 {
						return messaging.Message{}, fmt.Errorf("%d messages wait, want 1: %w", len(waiting), err)
					}
					return waiting[0], nil
				},
			},
		}
		return withFault(instance.WithDeadLetters(t, subscriptions(s)[0]))
	})
}
