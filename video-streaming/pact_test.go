//go:build pact

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/httpclient"
	"flixtube/chassis/messaging"
	"flixtube/contracts/codes"
	"flixtube/contracts/pacttest"
)

// lastMessage is an outbox that keeps the last message.
type lastMessage struct{ messaging.Message }

func (b *lastMessage) Offer(m messaging.Message) error {
	b.Message = m
	return nil
}

// newPactHandler is the service in front of a storage.
func newPactHandler(t *testing.T, storage *url.URL, box recorder) http.Handler {
	t.Helper()
	transport := httpclient.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	return newHandler(storage, transport, box, slog.New(slog.DiscardHandler))
}

func ask(h http.Handler, target string, header ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodGet, target, nil)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res := httptest.NewRecorder()
	h.ServeHTTP(res, req)
	return res
}

func TestPactConsumer(t *testing.T) {
	storage := pacttest.NewConsumer(t, "video-streaming", "video-storage")
	stored := pacttest.State{Name: "there is a video of ten bytes", Params: map[string]any{"id": "v1"}}
	part := pacttest.Exchange{
		Description: "the first bytes of a video",
		Given:       stored,
		Method:      http.MethodGet, Path: "/video", Query: url.Values{"id": {"v1"}},
		Headers: map[string]pacttest.Matcher{"Range": pacttest.Exactly("bytes=0-3")},
		Status:  http.StatusPartialContent,
		AnswerHeaders: map[string]pacttest.Matcher{
			"Content-Type": pacttest.Exactly("video/mp4"), "Content-Range": pacttest.Exactly("bytes 0-3/10"),
		},
		RawAnswer: "0123",
	}
	storage.Exchange(part, func(base *url.URL) error {
		var box lastMessage
		res := ask(newPactHandler(t, base, &box), "/video?id=v1", "Range", "bytes=0-3")
		if res.Code != http.StatusPartialContent || res.Body.String() != "0123" || box.ID == "" {
			return fmt.Errorf("%d %s, announced %q", res.Code, res.Body, box.ID)
		}
		return nil
	})
	later := part
	later.Description = "later bytes of a video"
	later.Headers = map[string]pacttest.Matcher{"Range": pacttest.Exactly("bytes=4-")}
	later.AnswerHeaders = map[string]pacttest.Matcher{"Content-Range": pacttest.Exactly("bytes 4-9/10"), "Content-Type": pacttest.Exactly("video/mp4")}
	later.RawAnswer = "456789"
	storage.Exchange(later, func(base *url.URL) error {
		var box lastMessage
		res := ask(newPactHandler(t, base, &box), "/video?id=v1", "Range", "bytes=4-")
		if res.Code != http.StatusPartialContent || box.ID != "" {
			return fmt.Errorf("%d, announced %q, which is no new view", res.Code, box.ID)
		}
		return nil
	})
	storage.Exchange(pacttest.Exchange{
		Description: "a video that is not there",
		Given:       pacttest.State{Name: "there are no videos"},
		Method:      http.MethodGet, Path: "/video", Query: url.Values{"id": {"v1"}},
		Status: http.StatusNotFound, AnswerHeaders: pacttest.JSON(), Answer: pacttest.Error(codes.VideoNotFound),
	}, func(base *url.URL) error {
		var box lastMessage
		res := ask(newPactHandler(t, base, &box), "/video?id=v1")
		if res.Code != http.StatusNotFound || box.ID != "" {
			return fmt.Errorf("%d, announced %q", res.Code, box.ID)
		}
		return nil
	})
	storage.Exchange(pacttest.Exchange{
		Description: "the poster of a video",
		Given:       pacttest.State{Name: "there is a video with a poster", Params: map[string]any{"id": "v1"}},
		Method:      http.MethodGet, Path: "/poster", Query: url.Values{"id": {"v1"}},
		Status: http.StatusOK, AnswerHeaders: map[string]pacttest.Matcher{"Content-Type": pacttest.Exactly("image/jpeg")},
	}, func(base *url.URL) error {
		if res := ask(newPactHandler(t, base, &lastMessage{}), "/poster?id=v1"); res.Code != http.StatusOK {
			return fmt.Errorf("%d %s", res.Code, res.Body)
		}
		return nil
	})

	history := pacttest.NewConsumer(t, "video-streaming", "history")
	history.Exchange(pacttest.Exchange{
		Description: "a view, delivered directly",
		Given:       pacttest.State{Name: "nothing was watched"},
		Method:      http.MethodPost, Path: "/viewed",
		Body: map[string]any{
			"id":       pacttest.AnyString("0b8f7c1e-2f4b-4a55-9b0e-3d1c1f6f8a10"),
			"viewedAt": pacttest.AnyTime("2026-03-01T10:15:30.123Z"),
			"viewer":   map[string]any{"id": pacttest.AnyString("ann")},
			"video":    map[string]any{"id": pacttest.AnyString("v1")},
		},
		Status: http.StatusNoContent,
	}, func(base *url.URL) error {
		send := direct(httpclient.NewTransport(), base.JoinPath("viewed").String(), slog.New(slog.DiscardHandler))
		return send(t.Context(), []messaging.Message{newViewed("0b8f7c1e-2f4b-4a55-9b0e-3d1c1f6f8a10", "ann", "v1", time.Now())})
	})
}

// newPactStorage has one video of ten bytes.
func newPactStorage(t *testing.T, id string) *url.URL {
	t.Helper()
	serve := func(contentType, content string) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			if req.URL.Query().Get("id") != id {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusNotFound)
				_ = json.NewEncoder(w).Encode(map[string]string{"error": "there is no such video", "code": codes.VideoNotFound})
				return
			}
			w.Header().Set("Content-Type", contentType)
			http.ServeContent(w, req, "", time.Time{}, strings.NewReader(content))
		}
	}
	mux := http.NewServeMux()
	mux.Handle("GET /video", serve("video/mp4", "0123456789"))
	mux.Handle("GET /poster", serve("image/jpeg", "\xff\xd8\xff"))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return base
}

func TestPactProvider(t *testing.T) {
	pacttest.Verify(t, "video-streaming", func() pacttest.Instance {
		var box lastMessage
		var h http.Handler
		stored := func(p pacttest.Params) error {
			h = newPactHandler(t, newPactStorage(t, p.String("id")), &box)
			return nil
		}
		watchedBy := func(viewer string) func(pacttest.Params) error {
			return func(pacttest.Params) error {
				h := newPactHandler(t, newPactStorage(t, "v1"), &box)
				if res := ask(h, "/video?id=v1&view=0b8f7c1e-2f4b-4a55-9b0e-3d1c1f6f8a10", "X-Viewer-Id", viewer); res.Code != http.StatusOK {
					return fmt.Errorf("GET /video: %d", res.Code)
				}
				return nil
			}
		}
		return pacttest.Instance{
			Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { h.ServeHTTP(w, req) }),
			States: map[string]func(pacttest.Params) error{
				"there are no videos":                        stored,
				"there is a video of ten bytes":              stored,
				"there is a video with a poster":             stored,
				"a viewer has watched a video":               watchedBy("ann"),
				"somebody without an id has watched a video": watchedBy(""),
			},
			Messages: map[string]func() (messaging.Message, error){
				"viewed": func() (messaging.Message, error) {
					if box.ID == "" {
						return messaging.Message{}, errors.New("nothing was announced")
					}
					return box.Message, nil
				},
			},
		}
	})
}
