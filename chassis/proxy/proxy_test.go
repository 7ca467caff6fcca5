package proxy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"flixtube/chassis/httpclient"
	"flixtube/chassis/proxy"
)

// TestMemory: streams whose clients read nothing do not each keep a large buffer.
func TestMemory(t *testing.T) {
	const streams = 300
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "a stream")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer target.Close()
	u, err := url.Parse(target.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := httpclient.NewTransport()
	defer transport.CloseIdleConnections()
	p := proxy.New(u, transport, slog.New(slog.DiscardHandler), nil, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	unread := make(chan struct{}, streams)
	var flowing sync.WaitGroup
	before := heap()
	for range streams {
		flowing.Go(func() {
			p.ServeHTTP(stuck{httptest.NewRecorder(), unread, ctx.Done()}, httptest.NewRequestWithContext(ctx, "GET", "/", nil))
		})
	}
	for range streams {
		select {
		case <-unread:
		case <-time.After(30 * time.Second):
			t.Fatal("the streams do not flow")
		}
	}
	held := heap() - before
	cancel()
	flowing.Wait()
	if held > 60<<20 {
		t.Errorf("%d streams hold %d MiB", streams, held>>20)
	}
}

// stuck is a client that has stopped reading.
type stuck struct {
	http.ResponseWriter
	unread chan<- struct{}
	gone   <-chan struct{}
}

func (s stuck) Write([]byte) (int, error) {
	s.unread <- struct{}{}
	<-s.gone
	return 0, io.ErrClosedPipe
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestProxy(t *testing.T) {
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Seen", r.Method+" "+r.URL.String()+" "+r.Header.Get("Range"))
		w.WriteHeader(http.StatusPartialContent)
	}))
	u, err := url.Parse(target.URL)
	if err != nil {
		t.Fatal(err)
	}
	watched := 0
	var logged bytes.Buffer
	p := proxy.New(u.JoinPath("video"), httpclient.NewTransport(), slog.New(slog.NewTextHandler(&logged, nil)),
		func(r *httputil.ProxyRequest) { r.Out.URL.RawQuery = "id=1" },
		func(res *http.Response) error { watched = res.StatusCode; return nil })
	req := httptest.NewRequest("GET", "/api/video?id=2", nil)
	req.Header.Set("Range", "bytes=0-1")
	w := httptest.NewRecorder()
	p.ServeHTTP(w, req)
	if w.Code != 206 || watched != 206 || w.Header().Get("X-Seen") != "GET /video?id=1 bytes=0-1" {
		t.Errorf("%d %v, watched %d", w.Code, w.Header(), watched)
	}

	// A client that breaks off is not logged as a failure of the service.
	w = httptest.NewRecorder()
	brokenOff := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(io.ErrUnexpectedEOF))
	p.ServeHTTP(w, httptest.NewRequest("POST", "/api/upload", brokenOff))
	if w.Code != 400 || logged.Len() > 0 {
		t.Errorf("a body that broke off: %d %s, logged %s", w.Code, w.Body, &logged)
	}

	// Nor is one that seems to be gone; if it is still there, it gets no empty 200.
	w = httptest.NewRecorder()
	gone, leave := context.WithCancel(t.Context())
	leave()
	p.ServeHTTP(w, httptest.NewRequestWithContext(gone, "GET", "/api/video", nil))
	if w.Code != 502 || w.Body.Len() == 0 || logged.Len() > 0 {
		t.Errorf("a client that seems to be gone: %d %s, logged %s", w.Code, w.Body, &logged)
	}

	target.Close()
	w = httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequest("GET", "/api/video", nil))
	var answer map[string]string
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != 502 || answer["error"] == "" ||
		strings.Contains(w.Body.String(), u.Hostname()) || !strings.Contains(logged.String(), u.Host) {
		t.Errorf("without a target: %d %s, logged %s", w.Code, w.Body, &logged)
	}
}
