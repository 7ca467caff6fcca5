package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/httpclient"
	"flixtube/chassis/messaging"
	"flixtube/chassis/web"
	"flixtube/contracts"
)

const video = "0123456789"

// newStorage has one video, ten, with a poster.
func newStorage(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") })
	mux.HandleFunc("GET /poster", func(w http.ResponseWriter, req *http.Request) {
		if req.URL.RawQuery != "id=ten" {
			http.NotFound(w, req)
			return
		}
		w.Header().Set("Content-Type", "image/jpeg")
		w.Header().Set("ETag", `"poster"`)
		http.ServeContent(w, req, "", time.Unix(1_000_000_000, 0), strings.NewReader("a poster"))
	})
	mux.HandleFunc("GET /video", func(w http.ResponseWriter, req *http.Request) {
		if query := req.URL.Query(); len(query) != 1 || query.Get("id") != "ten" {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error":"no such video","code":"video_not_found"}`)
			return
		}
		w.Header().Set("Content-Type", "video/mp4")
		w.Header().Set("ETag", `"tag"`)
		http.ServeContent(w, req, "", time.Unix(1_000_000_000, 0), strings.NewReader(video))
	})
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasPrefix(req.URL.Path, "//") {
			t.Errorf("asked for %s", req.URL.Path) // mux would redirect it
		}
		mux.ServeHTTP(w, req)
	}))
	t.Cleanup(storage.Close)
	return storage
}

// fakeBox keeps the messages that it is offered, or rejects them with err.
type fakeBox struct {
	mu   sync.Mutex
	err  error
	kept []viewed
}

func (b *fakeBox) Offer(m messaging.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	var v viewed
	if err := json.Unmarshal(m.Body, &v); err != nil || v.ID != m.ID {
		panic(fmt.Sprintf("message %q: %s", m.ID, m.Body))
	}
	b.kept = append(b.kept, v)
	return nil
}

func (b *fakeBox) take() []viewed {
	b.mu.Lock()
	defer b.mu.Unlock()
	kept := b.kept
	b.kept = nil
	return kept
}

func serve(t *testing.T, storage string, box recorder) (base string) {
	t.Helper()
	target, err := url.Parse(storage)
	if err != nil {
		t.Fatal(err)
	}
	transport := httpclient.NewTransport()
	server := httptest.NewServer(chassistest.Documented(t, newHandler(target, transport, box, slog.New(slog.NewTextHandler(t.Output(), nil)))))
	t.Cleanup(func() {
		server.Close()
		transport.CloseIdleConnections()
	})
	return server.URL
}

// call sends a request whose headers are given as "Name: value".
func call(t *testing.T, method, url string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

const (
	several = "several parts" // whose boundaries are random
	viewA   = "0b9e5b4e-43d1-4b6c-9a53-0d0f6f6f2a10"
	viewB   = "5b1c7c62-5d0e-4d8a-8a1e-3a1f3b5f9c77"
)

// TestVideo asks for videos, one request after the other, and looks at the answer and at what was recorded.
func TestVideo(t *testing.T) {
	box := &fakeBox{}
	base := serve(t, newStorage(t).URL, box)
	var fresh []string
	for _, test := range []struct {
		method, query string
		headers       []string
		status        int
		rng           string // Content-Range
		body          string
		counts        string // the id of the view, "fresh", or "" for none
	}{
		{"GET", "id=ten", nil, 200, "", video, "fresh"},
		{"GET", "id=ten", nil, 200, "", video, "fresh"},
		{"GET", "id=ten", []string{"Range: bytes=0-"}, 206, "bytes 0-9/10", video, "fresh"},
		{"GET", "id=ten", []string{"Range: bytes=0-3"}, 206, "bytes 0-3/10", "0123", "fresh"},
		{"GET", "id=ten", []string{"Range: bytes=-20"}, 206, "bytes 0-9/10", video, "fresh"},
		{"GET", "id=ten", []string{"Range: bytes=1-3"}, 206, "bytes 1-3/10", "123", ""},
		{"GET", "id=ten", []string{"Range: bytes=-3"}, 206, "bytes 7-9/10", "789", ""},
		{"GET", "id=ten", []string{"Range: bytes=10-"}, 416, "bytes */10", "", ""},
		{"GET", "id=ten", []string{`If-None-Match: "tag"`}, 304, "", "", ""},
		{"GET", "id=ten", []string{"If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT"}, 304, "", "", ""},
		{"GET", "id=ten", []string{"Range: bytes=1-3", `If-Range: "old"`}, 200, "", video, "fresh"},
		{"GET", "id=ten", []string{"Range: bytes=1-3", `If-Range: "tag"`}, 206, "bytes 1-3/10", "123", ""},
		{"GET", "id=ten", []string{`If-Match: "old"`}, 412, "", "", ""},
		{"HEAD", "id=ten", nil, 200, "", "", ""},
		{"GET", "id=none", nil, 404, "", `{"error":"no such video","code":"video_not_found"}`, ""},
		{"GET", "", nil, 404, "", `{"error":"no such video","code":"video_not_found"}`, ""},

		{"HEAD", "id=ten&view=" + viewA, nil, 200, "", "", ""},
		{"GET", "id=none&view=" + viewA, nil, 404, "", `{"error":"no such video","code":"video_not_found"}`, ""},
		{"GET", "id=ten&view=" + viewA, []string{"Range: bytes=10-"}, 416, "bytes */10", "", ""},
		{"GET", "id=ten&view=" + viewA, []string{`If-None-Match: "tag"`}, 304, "", "", ""},
		{"GET", "id=ten&view=" + viewA, []string{"Range: bytes=7-"}, 206, "bytes 7-9/10", "789", viewA},
		{"GET", "id=ten&view=" + viewA, []string{"Range: bytes=0-"}, 206, "bytes 0-9/10", video, ""},
		{"GET", "id=ten&view=" + viewA, nil, 200, "", video, ""},
		{"GET", "id=ten&view=" + viewB + "&other=1", nil, 200, "", video, viewB},

		// A view that is not a UUID in its usual form is none.
		{"GET", "id=ten&view=", nil, 200, "", video, "fresh"},
		{"GET", "id=ten&view=7", nil, 200, "", video, "fresh"},
		{"GET", "id=ten&view=7", []string{"Range: bytes=1-3"}, 206, "bytes 1-3/10", "123", ""},
		{"HEAD", "id=ten&view=7", nil, 200, "", "", ""},
		{"GET", "id=ten&view=" + uuid.Nil.String(), nil, 200, "", video, "fresh"},
		{"GET", "id=ten&view=" + strings.ToUpper(viewA), nil, 200, "", video, "fresh"},
		{"GET", "id=ten&view=%7B" + viewA + "%7D", nil, 200, "", video, "fresh"},
		{"GET", "id=ten&view=" + strings.ReplaceAll(viewA, "-", ""), nil, 200, "", video, "fresh"},

		{"GET", "id=ten", []string{"Range: bytes=0-1,4-5"}, 206, "", several, "fresh"},
		{"GET", "id=ten", []string{"Range: bytes= 4-5 , 0-1"}, 206, "", several, "fresh"},
		{"GET", "id=ten", []string{"Range: bytes=1-1,4-5"}, 206, "", several, ""},
		{"GET", "id=ten", []string{"Range: bytes=1-1,-3"}, 206, "", several, ""},
	} {
		t.Run(fmt.Sprint(test.method, test.query, test.headers), func(t *testing.T) {
			res, body := call(t, test.method, base+"/video?"+test.query, test.headers...)
			if res.StatusCode != test.status || res.Header.Get("Content-Range") != test.rng {
				t.Errorf("%s, Content-Range %q; want %d, %q", res.Status, res.Header.Get("Content-Range"), test.status, test.rng)
			}
			if test.status != 416 && test.body != several && body != test.body {
				t.Errorf("body %q, want %q", body, test.body)
			}
			if test.status < 400 && res.Header.Get("ETag") != `"tag"` {
				t.Errorf("headers %v", res.Header)
			}
			if test.status == 200 && (res.ContentLength != 10 || res.Header.Get("Accept-Ranges") != "bytes") {
				t.Errorf("Content-Length %d, %v", res.ContentLength, res.Header)
			}
			var got string
			for _, v := range box.take() {
				if test.counts == "fresh" && uuid.Validate(v.ID) == nil && v.Video.ID == "ten" {
					fresh = append(fresh, v.ID)
					v.ID = "fresh"
				}
				got += v.ID
			}
			if got != test.counts {
				t.Errorf("counted %q, want %q", got, test.counts)
			}
		})
	}
	distinct := map[string]bool{}
	for _, id := range fresh {
		distinct[id] = true
	}
	if len(distinct) != 14 {
		t.Errorf("%d fresh ids in %v, want 14", len(distinct), fresh)
	}
}

// TestPoster: posters come through as they are, and nothing about them is a view.
func TestPoster(t *testing.T) {
	box := &fakeBox{}
	base := serve(t, newStorage(t).URL, box)
	for _, test := range []struct {
		method, query, header string
		status                int
		body                  string
	}{
		{"GET", "id=ten", "Accept: */*", 200, "a poster"},
		{"GET", "id=ten&other=1&view=" + viewA, "Accept: */*", 200, "a poster"},
		{"HEAD", "id=ten", "Accept: */*", 200, ""},
		{"GET", "id=ten", "Range: bytes=0-0", 206, "a"},
		{"GET", "id=ten", `If-None-Match: "poster"`, 304, ""},
		{"HEAD", "id=ten", `If-None-Match: "poster"`, 304, ""},
		{"GET", "id=none", "Accept: */*", 404, "404 page not found\n"},
		{"GET", "id=..%2Fvideo%3Fid%3Dten", "Accept: */*", 404, "404 page not found\n"},
		{"GET", "", "Accept: */*", 404, "404 page not found\n"},
	} {
		res, body := call(t, test.method, base+"/poster?"+test.query, test.header, web.ViewerHeader+": eve")
		if res.StatusCode != test.status || body != test.body {
			t.Errorf("%s %s, %s: %s %q, want %d %q", test.method, test.query, test.header, res.Status, body, test.status, test.body)
		}
		if h := res.Header; test.status == 200 && (h.Get("Content-Type") != "image/jpeg" || h.Get("ETag") != `"poster"` ||
			h.Get("Last-Modified") == "" || res.ContentLength != 8) {
			t.Errorf("%s %s: %d bytes, %v", test.method, test.query, res.ContentLength, h)
		}
	}
	if res, _ := call(t, "PUT", base+"/poster?id=ten"); res.StatusCode != 405 {
		t.Errorf("PUT: %s", res.Status)
	}
	if got := box.take(); len(got) > 0 {
		t.Errorf("counted %v", got)
	}
}

// TestSample: the message is, byte for byte, the sample that its consumers are tested with.
func TestSample(t *testing.T) {
	sample, err := contracts.Sample("viewed")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 10, 15, 30, 123_000_000, time.UTC)
	m := newViewed("0b8f7c1e-2f4b-4a55-9b0e-3d1c1f6f8a10", "Vb7Q0cJX1m2hN4tYkqZ8sL5rWfPe3aUd", "5d9e690ad76fe06a3d7ae416", at)
	if string(m.Body) != string(bytes.TrimSpace(sample)) {
		t.Errorf("%s\nis not the sample\n%s", m.Body, sample)
	}
}

func TestMessage(t *testing.T) {
	at := time.Date(2026, 2, 3, 5, 5, 6, 70_900_000, time.FixedZone("", 3600))
	for viewer, want := range map[string]string{
		"eve": `{"id":"i","viewedAt":"2026-02-03T04:05:06.070Z","viewer":{"id":"eve"},"video":{"id":"v"}}`,
		"":    `{"id":"i","viewedAt":"2026-02-03T04:05:06.070Z","video":{"id":"v"}}`,
	} {
		if m := newViewed("i", viewer, "v", at); m.ID != "i" || string(m.Body) != want {
			t.Errorf("%s %s, want %s", m.ID, m.Body, want)
		}
	}
	box := &fakeBox{}
	base := serve(t, newStorage(t).URL, box)
	for header, want := range map[string]string{"eve_-9": "eve_-9", "e v e": "", "": "", strings.Repeat("e", 65): ""} {
		call(t, "GET", base+"/video?id=ten", web.ViewerHeader+": "+header)
		got := box.take()
		if len(got) != 1 || (got[0].Viewer == nil) != (want == "") || (want != "" && got[0].Viewer.ID != want) {
			t.Errorf("viewer %q: %v", header, got)
		}
		if now := regexp.MustCompile(`^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`); !now.MatchString(got[0].ViewedAt) {
			t.Errorf("viewedAt %q", got[0].ViewedAt)
		}
	}
}

// TestConcurrentRequests: the many connections of one player are one viewing.
func TestConcurrentRequests(t *testing.T) {
	box := &fakeBox{}
	base := serve(t, newStorage(t).URL, box)
	views := make([]string, 20)
	var players sync.WaitGroup
	for i := range views {
		views[i] = uuid.NewString()
		for range 8 {
			players.Go(func() { call(t, "GET", base+"/video?id=ten&view="+views[i], "Range: bytes=2-") })
		}
	}
	players.Wait()
	count := map[string]int{}
	for _, v := range box.take() {
		count[v.ID]++
	}
	for _, view := range views {
		if count[view] != 1 {
			t.Errorf("viewing %s was counted %d times", view, count[view])
		}
	}
}

// TestOutboxFull: the video plays, and the next request of the viewing counts it.
func TestOutboxFull(t *testing.T) {
	box := &fakeBox{err: errors.New("full")}
	base := serve(t, newStorage(t).URL, box)
	for _, err := range []error{box.err, nil, nil} {
		box.mu.Lock()
		box.err = err
		box.mu.Unlock()
		if res, body := call(t, "GET", base+"/video?id=ten&view="+viewA); res.StatusCode != 200 || body != video {
			t.Fatalf("%s %q", res.Status, body)
		}
	}
	if got := box.take(); len(got) != 1 || got[0].ID != viewA {
		t.Errorf("counted %v", got)
	}
}

// TestCancel: a player that goes away ends the request to storage.
func TestCancel(t *testing.T) {
	ended := make(chan struct{})
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.(http.Flusher).Flush()
		<-req.Context().Done()
		close(ended)
	}))
	defer storage.Close()
	base := serve(t, storage.URL, &fakeBox{})
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", base+"/video?id=ten", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	cancel()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("storage is still being asked")
	}
}

func TestNoStorage(t *testing.T) {
	storage := newStorage(t)
	box := &fakeBox{}
	base := serve(t, storage.URL, box)
	storage.Close()
	if res, body := call(t, "GET", base+"/video?id=ten"); res.StatusCode != 502 || !strings.HasPrefix(body, `{"error":`) {
		t.Errorf("%s %s", res.Status, body)
	}
	if got := box.take(); len(got) > 0 {
		t.Errorf("counted %v", got)
	}
}

// TestSilentStorage: a storage that accepts a request and never answers is like one that is down.
func TestSilentStorage(t *testing.T) {
	storage, err := net.Listen("tcp", "127.0.0.1:0") // the system accepts, nobody reads
	if err != nil {
		t.Fatal(err)
	}
	defer storage.Close()
	target := &url.URL{Scheme: "http", Host: storage.Addr().String()}
	transport := newTransport(50 * time.Millisecond)
	defer transport.CloseIdleConnections()
	server := httptest.NewServer(newHandler(target, transport, &fakeBox{}, slog.New(slog.DiscardHandler)))
	defer server.Close()
	if res, body := call(t, "GET", server.URL+"/video?id=ten"); res.StatusCode != 502 || !strings.HasPrefix(body, `{"error":`) {
		t.Errorf("%s %s", res.Status, body)
	}
}

// TestCount: the latest viewings are remembered, one in use among them for as long as it is used.
func TestCount(t *testing.T) {
	counted, err := lru.New[uuid.UUID, struct{}](3)
	if err != nil {
		t.Fatal(err)
	}
	s := &service{counted: counted}
	ids := make([]uuid.UUID, 6)
	for i := range ids {
		ids[i] = uuid.New()
		if !s.count(ids[i]) || s.count(ids[0]) { // ids[0] is in use all the time
			t.Errorf("after %d: a new viewing was counted before, or the one in use was not", i)
		}
	}
	if s.count(ids[5]) || !s.count(ids[1]) {
		t.Error("the last viewing is forgotten, or the second is still remembered")
	}
}
