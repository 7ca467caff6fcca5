package main

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestSweepUnknown sweeps with every kind of metadata. Only one that works and knows other videos costs bytes.
func TestSweepUnknown(t *testing.T) {
	answer := func(known string) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			id := req.URL.Query().Get("id")
			switch {
			case req.URL.Path == "/videos" && known == "":
				_, _ = w.Write([]byte(`{"videos":[]}`))
			case req.URL.Path == "/videos":
				_, _ = w.Write([]byte(`{"videos":[{"_id":"another"}]}`))
			case strings.Contains(known, id):
				_, _ = w.Write([]byte(`{"video":{}}`))
			default:
				http.Error(w, `{"error":"no such video"}`, http.StatusNotFound)
			}
		}
	}
	failing := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			if req.URL.Path == "/videos" {
				answer("known")(w, req)
				return
			}
			w.WriteHeader(status)
		}
	}
	stores(t, func(t *testing.T, _ string, videos store) {
		ids := []string{"broken", "known"}
		for name, test := range map[string]struct {
			metadata http.HandlerFunc
			age      time.Duration
			fails    bool
			want     string
		}{
			"unknown":                 {answer("known"), 0, false, "known"},
			"too young":               {answer("known"), sweepAge, false, "broken known"},
			"all known":               {answer("broken known"), 0, false, "broken known"},
			"metadata lost it all":    {answer(""), 0, true, "broken known"},
			"metadata is broken":      {failing(500), 0, true, "broken known"},
			"metadata is unavailable": {failing(503), 0, true, "broken known"},
			"something else answers":  {http.NotFound, 0, true, "broken known"},
		} {
			t.Run(name, func(t *testing.T) {
				for _, id := range ids {
					if err := videos.Create(t.Context(), id, "video/mp4", strings.NewReader("data")); err != nil && !errors.Is(err, errTaken) {
						t.Fatal(err)
					}
					if err := videos.SavePoster(t.Context(), id, []byte(jpeg)); err != nil {
						t.Fatal(err)
					}
				}
				server := httptest.NewServer(test.metadata)
				defer server.Close()
				u, err := url.Parse(server.URL)
				if err != nil {
					t.Fatal(err)
				}
				s := sweeper{videos, u, server.Client(), slog.New(slog.DiscardHandler)}
				now := time.Now().Add(2 * time.Second) // the clock of a blob's LastModified is coarse
				if err := s.sweep(t.Context(), now.Add(-test.age)); (err != nil) != test.fails {
					t.Errorf("sweep: %v", err)
				}
				left, err := videos.StoredBefore(t.Context(), now)
				if err != nil {
					t.Fatal(err)
				}
				slices.Sort(left)
				if got := strings.Join(left, " "); got != test.want {
					t.Errorf("left: %q, want %q", got, test.want)
				}
				for _, id := range ids {
					poster, err := videos.OpenPoster(t.Context(), id)
					if err == nil {
						poster.Close()
					}
					if stays := strings.Contains(test.want, id); (err == nil) != stays || !stays && !errors.Is(err, errNoPoster) {
						t.Errorf("the poster of %s: %v", id, err)
					}
				}
			})
		}
	})
}
