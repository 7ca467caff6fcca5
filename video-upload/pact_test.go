//go:build pact

package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/messaging"
	"flixtube/contracts/pacttest"
	"flixtube/video-upload/internal/publisher"
	"flixtube/video-upload/internal/spool"
	"flixtube/video-upload/internal/storage"
	"flixtube/video-upload/internal/video"
)

func TestPactConsumer(t *testing.T) {
	c := pacttest.NewConsumer(t, "video-upload", "video-storage")
	client := func(base *url.URL) *storage.Client { return storage.New(base, time.Minute) }
	stored := pacttest.State{Name: "there is a video of ten bytes", Params: map[string]any{"id": "v1"}}
	const file = "\x00\x00\x00\x08wide and the rest of a QuickTime file"
	upload := pacttest.Exchange{
		Description: "a new video",
		Given:       pacttest.State{Name: "there are no videos"},
		Method:      http.MethodPost, Path: "/upload",
		Headers: map[string]pacttest.Matcher{
			"Id": pacttest.Matching("v1", `^[A-Za-z0-9_-]{1,64}$`), "Content-Type": pacttest.Exactly("application/octet-stream"),
		},
		RawBody: file,
		Status:  http.StatusCreated,
	}
	put := func(base *url.URL) (int64, error) {
		return client(base).Put(t.Context(), "v1", "application/octet-stream", strings.NewReader(file), int64(len(file)))
	}
	c.Exchange(upload, func(base *url.URL) error {
		size, err := put(base)
		if err == nil && size != int64(len(file)) {
			err = fmt.Errorf("%d bytes are stored", size)
		}
		return err
	})
	upload.Description, upload.Given = "a video under an id that is in use", stored
	upload.Status = http.StatusConflict
	c.Exchange(upload, func(base *url.URL) error {
		if _, err := put(base); !errors.Is(err, storage.ErrExists) {
			return fmt.Errorf("got %w, want ErrExists", err)
		}
		return nil
	})
	c.Exchange(pacttest.Exchange{
		Description: "whether a video is there",
		Given:       pacttest.State{Name: "there are no videos"},
		Method:      http.MethodHead, Path: "/video", Query: url.Values{"id": {"v1"}},
		Status: http.StatusNotFound,
	}, func(base *url.URL) error {
		if has, err := client(base).Has(t.Context(), "v1", 10); err != nil || has {
			return fmt.Errorf("has it: %v, %w", has, err)
		}
		return nil
	})
	// A JPEG cannot be in a pact of pact-go, which knows its type and wants application/octet-stream.
	c.Exchange(pacttest.Exchange{
		Description: "a poster that is no JPEG",
		Given:       stored,
		Method:      http.MethodPut, Path: "/poster", Query: url.Values{"id": {"v1"}},
		Headers: map[string]pacttest.Matcher{"Content-Type": pacttest.Exactly("image/jpeg")},
		RawBody: "no poster",
		Status:  http.StatusUnsupportedMediaType,
	}, func(base *url.URL) error {
		if err := client(base).PutPoster(t.Context(), "v1", []byte("no poster")); !errors.Is(err, storage.ErrPosterRejected) {
			return fmt.Errorf("got %w, want ErrPosterRejected", err)
		}
		return nil
	})
	c.Exchange(pacttest.Exchange{
		Description: "a video that is not announced is deleted",
		Given:       stored,
		Method:      http.MethodDelete, Path: "/video", Query: url.Values{"id": {"v1"}},
		Status: http.StatusNoContent,
	}, func(base *url.URL) error { return client(base).Delete(t.Context(), "v1") })
}

func TestPactProvider(t *testing.T) {
	pacttest.Verify(t, "video-upload", func() pacttest.Instance {
		files, box := newFakeStorage(t), &fakeOutbox{}
		u := newTestUploads(t, t.TempDir(), files.URL, box, 1<<20)
		nothing := func(pacttest.Params) error { return nil }
		return pacttest.Instance{
			Handler: chassistest.Documented(t, u.handler()),
			States: map[string]func(pacttest.Params) error{
				"the storage has space": nothing,
				"an upload is unfinished": func(p pacttest.Params) error {
					return u.spool.Create(spool.Info{ID: p.String("id"), Size: 100, MetaData: spool.Metadata{
						FileName: "My holiday.mp4", Owner: p.String("owner"), FactID: "1",
					}})
				},
				"a viewer has uploaded a video with a poster": nothing,
			},
			Messages: map[string]func() (messaging.Message, error){
				"video-uploaded": func() (messaging.Message, error) {
					err := publisher.New(nil, nil, box, slog.New(slog.DiscardHandler)).Announce(t.Context(), "1", time.Now(), video.Video{
						ID: "v1", Name: "My holiday", ContentType: "video/mp4", Size: 5 << 20, Duration: 61.5, Poster: true,
					}, "ann")
					if err != nil {
						return messaging.Message{}, err
					}
					return box.added()[0], nil
				},
			},
		}
	})
}
