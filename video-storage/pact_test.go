//go:build pact

package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"flixtube/chassis/httpclient"
	"flixtube/chassis/messaging"
	"flixtube/contracts/pacttest"
)

func TestPactConsumer(t *testing.T) {
	metadata := pacttest.NewConsumer(t, "video-storage", "metadata")
	metadata.Exchange(pacttest.Exchange{
		Description: "which of these videos exist",
		Given:       pacttest.State{Name: "there are videos", Params: map[string]any{"id": "v1", "ids": []string{"v2"}}},
		Method:      http.MethodGet, Path: "/videos", Query: url.Values{"id": {"v1", "v3"}},
		Status: http.StatusOK, AnswerHeaders: pacttest.JSON(),
		Answer: map[string]any{"videos": []any{map[string]any{"_id": "v1"}}},
	}, func(base *url.URL) error {
		s := sweeper{metadata: base, client: httpclient.New(httpclient.NewTransport())}
		unknown, err := s.askMetadata(t.Context(), []videoID{"v1", "v3"})
		if err == nil && !reflect.DeepEqual(unknown, []videoID{"v3"}) {
			err = fmt.Errorf("unknown to metadata are %v", unknown)
		}
		return err
	})

	upload := pacttest.NewConsumer(t, "video-storage", "video-upload")
	upload.Message(pacttest.Message{
		Description: "video-uploaded",
		Given:       pacttest.State{Name: "a viewer has uploaded a video with a poster"},
		Body:        map[string]any{"video": map[string]any{"id": pacttest.AnyString("v1")}},
	}, func(m messaging.Message) error {
		dir := newPactDirectory(t)
		return errors.Join(dir.Create(t.Context(), "v1", "video/mp4", strings.NewReader("bytes")), announce(t, dir, "v1", m))
	})

	dir := newPactDirectory(t)
	metadata.Message(pacttest.Message{
		Description: "video-removed",
		Given:       pacttest.State{Name: "a video was removed"},
		Body:        map[string]any{"video": map[string]any{"id": pacttest.AnyString("v1")}},
	}, func(m messaging.Message) error {
		if err := dir.Create(t.Context(), "v1", "video/mp4", strings.NewReader("bytes")); err != nil {
			return err
		}
		if err := removal(dir).Handler(t.Context(), []messaging.Message{m}); err != nil {
			return err
		}
		if _, err := dir.Open(t.Context(), "v1"); !errors.Is(err, errNotFound) {
			return fmt.Errorf("the bytes are still there: %w", err)
		}
		return nil
	})
}

// announce handles the message about a video, and finds it beside the bytes.
func announce(t *testing.T, dir *directory, id videoID, m messaging.Message) error {
	t.Helper()
	if err := announcement(dir).Handler(t.Context(), []messaging.Message{m}); err != nil {
		return err
	}
	_, err := dir.OpenAnnouncement(t.Context(), id)
	return err
}

func newPactDirectory(t *testing.T) *directory {
	t.Helper()
	dir, err := openDirectory(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	return dir
}

func TestPactProvider(t *testing.T) {
	pacttest.Verify(t, "video-storage", func() pacttest.Instance {
		dir := newPactDirectory(t)
		store := func(p pacttest.Params) error {
			return dir.Create(t.Context(), videoID(p.String("id")), "video/mp4", strings.NewReader("0123456789"))
		}
		instance := pacttest.Instance{
			Handler: newHandler(dir, newUploadSlots(directoryUploads), slog.New(slog.DiscardHandler)),
			States: map[string]func(pacttest.Params) error{
				"there are no videos":           func(pacttest.Params) error { return nil },
				"there is a video of ten bytes": store,
				"there is an announced video": func(p pacttest.Params) error {
					return errors.Join(store(p), announce(t, dir, videoID(p.String("id")), message(p.String("id"))))
				},
				"there is a video with a poster": func(p pacttest.Params) error {
					return errors.Join(store(p), dir.SavePoster(t.Context(), videoID(p.String("id")), []byte("\xff\xd8\xff poster")))
				},
			},
		}
		return instance.WithDeadLetters(t, removal(dir))
	})
}
