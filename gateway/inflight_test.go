package main

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"flixtube/gateway/internal/edge"
)

// TestTooManyStreams: viewers who read nothing hold a bounded number of streams, each viewer and all of an address.
func TestTooManyStreams(t *testing.T) {
	gateway := startWith(t, soon, 1000, slog.New(slog.DiscardHandler), fakes{"video-streaming": func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "film")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}})
	open := func(viewer int) *http.Response {
		t.Helper()
		res, err := http.DefaultTransport.RoundTrip(request(t, http.MethodGet, gateway+"/api/video?id=x", nil, "Cookie", cookie(fmt.Sprintf("%032d", viewer))))
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	accepted := func(viewer int) *http.Response {
		t.Helper()
		res := open(viewer)
		if res.StatusCode != http.StatusOK {
			t.Fatalf("a stream of viewer %d: %s", viewer, res.Status)
		}
		t.Cleanup(func() { res.Body.Close() })
		return res
	}
	rejected := func(viewer int) {
		t.Helper()
		res := open(viewer)
		defer res.Body.Close()
		if res.StatusCode != http.StatusTooManyRequests {
			t.Fatalf("one more stream of viewer %d: %s", viewer, res.Status)
		}
		body, _ := io.ReadAll(res.Body)
		if res.Header.Get("Retry-After") == "" || !strings.Contains(string(body), "too_many_requests") {
			t.Errorf("one more stream of viewer %d: %s %s", viewer, res.Status, body)
		}
	}
	var last *http.Response
	viewers := edge.StreamsPerAddress / edge.StreamsPerViewer
	for viewer := range viewers {
		for range edge.StreamsPerViewer {
			last = accepted(viewer)
		}
		rejected(viewer)
	}
	rejected(viewers) // whose first it would be, but the address has its streams
	if res, _ := do(t, request(t, http.MethodGet, gateway+"/upload", nil)); res.StatusCode != http.StatusOK {
		t.Errorf("a page: %s", res.Status)
	}
	last.Body.Close()
	for i := 0; ; i++ { // until the gateway has noticed
		res := open(viewers)
		res.Body.Close()
		if res.StatusCode == http.StatusOK {
			return
		}
		if i == 500 {
			t.Fatal("a stream that has ended still counts")
		}
	}
}
