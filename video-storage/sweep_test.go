package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/messaging"
)

// shelf is a store of nothing but ids.
type shelf map[videoID]bool

func (s shelf) StoredBetween(context.Context, time.Time, time.Time) ([]videoID, error) {
	return slices.Collect(maps.Keys(s)), nil
}
func (s shelf) Delete(_ context.Context, id videoID) error { delete(s, id); return nil }

// world has everything that a sweep asks. Its metadata knows the ids that begin with "known".
type world struct {
	shelf
	sweeper

	status     int            // of metadata's answer
	waiting    map[string]int // messages in a queue
	brokerAway bool
}

func newWorld(t *testing.T, known, unknown int) *world {
	w := &world{shelf: shelf{}, status: http.StatusOK}
	for i := range known {
		w.shelf[videoID(fmt.Sprint("known-", i))] = true
	}
	for i := range unknown {
		w.shelf[videoID(fmt.Sprint("unknown-", i))] = true
	}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		ids := req.URL.Query()["id"]
		if req.URL.Path != "/videos" || len(ids) == 0 || len(ids) > 100 {
			t.Errorf("asked %s for %d videos", req.URL.Path, len(ids))
		}
		var videos []string
		for _, id := range ids {
			if strings.HasPrefix(id, "known") {
				videos = append(videos, fmt.Sprintf(`{"_id":%q,"name":"a film"}`, id))
			}
		}
		rw.WriteHeader(w.status)
		fmt.Fprintf(rw, `{"videos":[%s]}`, strings.Join(videos, ","))
	}))
	t.Cleanup(server.Close)
	metadata, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	queueLen := func(_ context.Context, q messaging.Queue) (int, error) {
		if w.brokerAway {
			return 0, errors.New("away")
		}
		return w.waiting[q.Name], nil
	}
	w.sweeper = sweeper{videos: w.shelf, metadata: metadata, client: server.Client(), queueLen: queueLen, log: slog.New(slog.DiscardHandler)}
	return w
}

func (w *world) expect(t *testing.T, fails bool, left int) {
	t.Helper()
	if err := w.sweep(t.Context(), time.Now()); (err != nil) != fails {
		t.Errorf("sweep: %v", err)
	}
	if len(w.shelf) != left {
		t.Errorf("%d left, want %d", len(w.shelf), left)
	}
}

// TestSweepHowMany: metadata may not know a few videos. If it does not know more than that, it has lost them.
func TestSweepHowMany(t *testing.T) {
	for _, test := range []struct {
		known, unknown int
		fails          bool
	}{
		{0, 0, false},
		{1, 0, false},
		{1, 1, false},
		{250, 21, false},
		{400, 40, false},
		{100, 20, false},
		{0, 1, true},
		{1, 2, true},
		{100, 21, true},
		{400, 45, true},
	} {
		t.Run(fmt.Sprint(test), func(t *testing.T) {
			w := newWorld(t, test.known, test.unknown)
			w.expect(t, test.fails, test.known+test.unknown)
			if test.fails {
				w.expect(t, true, test.known+test.unknown)
			} else {
				w.expect(t, false, test.known)
			}
		})
	}
}

// TestSweepStops: when something is wrong, the bytes stay. Afterwards two sweeps must find them unknown.
func TestSweepStops(t *testing.T) {
	for name, stop := range map[string]func(*world){
		"metadata is broken":      func(w *world) { w.status = 500 },
		"metadata is unavailable": func(w *world) { w.status = 503 },
		"something else answers":  func(w *world) { w.status = 404 },
		"the broker is away":      func(w *world) { w.brokerAway = true },
		"an announcement waits":   func(w *world) { w.waiting = map[string]int{"metadata.video-uploaded": 1} },
		"among the dead letters":  func(w *world) { w.waiting = map[string]int{"metadata.video-uploaded.dead": 1} },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1, 1)
			w.expect(t, false, 2)
			stop(w)
			w.expect(t, true, 2)
			w.status, w.waiting, w.brokerAway = http.StatusOK, nil, false
			w.expect(t, false, 2)
			w.expect(t, false, 1)
		})
	}
}

// TestSweepAfterRestore: an older copy of the metadata does not know a newer video. Its bytes stay if SWEEP_SINCE says when
// the copy was restored, and only then.
func TestSweepAfterRestore(t *testing.T) {
	restored := time.Now().Add(-48 * time.Hour)
	for since, want := range map[time.Time]error{restored: nil, {}: errNotFound} {
		videos := openTestDirectory(t, t.TempDir())
		defer videos.Close()
		for _, id := range []videoID{"known", "newer-than-the-copy", "failed"} {
			if err := videos.Create(t.Context(), id, "video/mp4", strings.NewReader("bytes")); err != nil {
				t.Fatal(err)
			}
			stored := restored.Add(-time.Hour)
			if id == "failed" { // after the restore
				stored = restored.Add(time.Hour)
			}
			if err := os.Chtimes(videos.path+"/"+string(id)+"/video", time.Time{}, stored); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 20 { // so that metadata seems to have most of them
			id := videoID(fmt.Sprint("known-", i))
			if err := videos.Create(t.Context(), id, "video/mp4", strings.NewReader("bytes")); err != nil {
				t.Fatal(err)
			}
		}
		w := newWorld(t, 0, 0)
		w.videos, w.since = videos, since
		for range 2 {
			if err := w.sweep(t.Context(), time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
		}
		for id, want := range map[videoID]error{"known": nil, "newer-than-the-copy": want, "failed": errNotFound} {
			video, err := videos.Open(t.Context(), id)
			if !errors.Is(err, want) {
				t.Errorf("since %v: %s: %v, want %v", since, id, err, want)
			}
			if err == nil {
				video.Close()
			}
		}
	}
}
