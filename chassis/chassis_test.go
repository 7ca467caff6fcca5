package chassis_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/labstack/echo/v4"

	"flixtube/chassis"
	"flixtube/chassis/chassistest"
)

func TestEnvNamesAllThatIsWrong(t *testing.T) {
	env := chassis.NewEnv(chassistest.Env(map[string]string{"METADATA_URL": "metadata:80", "LIMIT": "-1", "LOG_LEVEL": "verbose", "NAME": "x"}))
	env.Addr()
	env.Required("RABBIT")
	env.URL("METADATA_URL", "http://metadata")
	env.Int("LIMIT", 5)
	env.LogLevel()
	if env.Required("NAME") != "x" || env.Optional("OTHER", "y") != "y" {
		t.Error("a value was not read")
	}
	const want = "missing environment variables: PORT, RABBIT\nMETADATA_URL must be an http or https URL\nLIMIT must be a whole number above 0\n" +
		"LOG_LEVEL must be debug, info, warn or error"
	if err := env.Err(); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestLogLevel(t *testing.T) {
	for value, want := range map[string]slog.Level{"": slog.LevelInfo, "debug": slog.LevelDebug, "WARN": slog.LevelWarn} {
		env := chassis.NewEnv(chassistest.Env(map[string]string{"LOG_LEVEL": value}))
		if got := env.LogLevel(); got != want || env.Err() != nil {
			t.Errorf("%q: %v, %v", value, got, env.Err())
		}
	}
}

// syncBuffer is a log that a test reads while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var logged syncBuffer
	err = chassis.Service{Addr: l.Addr().String(), Handler: http.NotFoundHandler(), Log: chassis.NewLogger(&logged, slog.LevelInfo)}.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("got %v", err)
	}
	if strings.Contains(logged.String(), "listening") {
		t.Error("it said that it was listening")
	}
}

// TestStop stops a service with a request in flight: the request is answered, and the background work ends after it.
func TestStop(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	var order []string
	run := func(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
		return chassis.Service{
			Addr: chassis.NewEnv(getenv).Addr(), Log: chassis.NewLogger(stdout, slog.LevelInfo),
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				close(entered)
				<-release
				order = append(order, "answered")
				_, _ = io.WriteString(w, "done")
			}),
			Background: []func(context.Context) error{func(ctx context.Context) error {
				<-ctx.Done()
				order = append(order, "background")
				return nil
			}},
		}.Run(ctx)
	}
	address, stop := chassistest.StartStop(t, run, nil)
	body := make(chan string)
	go func() {
		res, err := http.Get(address)
		if err != nil {
			body <- err.Error()
			return
		}
		defer res.Body.Close()
		data, _ := io.ReadAll(res.Body)
		body <- string(data)
	}()
	<-entered
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	// Once it refuses new connections it is stopping.
	err := chassistest.Poll(10*time.Second, func() error {
		conn, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
		if err == nil {
			conn.Close()
			return errors.New("it still listens")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	close(release)
	if got := <-body; got != "done" {
		t.Errorf("the request in flight got %q", got)
	}
	<-stopped
	if strings.Join(order, " ") != "answered background" {
		t.Errorf("the order was %v", order)
	}
}

func TestBackgroundErrorStops(t *testing.T) {
	broken := errors.New("broken")
	err := chassis.Service{
		Addr: "127.0.0.1:0", Handler: http.NotFoundHandler(), Log: slog.New(slog.DiscardHandler),
		Background: []func(context.Context) error{func(context.Context) error { return broken }},
	}.Run(t.Context())
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestAnswers(t *testing.T) {
	var logged syncBuffer
	up := chassis.Check{Name: "rabbit", Probe: func(context.Context) error { return errors.New("down") }}
	e := chassis.NewEcho(chassis.NewLogger(&logged, slog.LevelInfo), up)
	e.GET("/known", func(echo.Context) error {
		return chassis.Errorf(http.StatusTeapot, "no %s", "coffee").Because(errors.New("secret cause"))
	})
	e.GET("/unknown", func(echo.Context) error { return errors.New("secret detail") })
	e.GET("/panic", func(echo.Context) error { panic("secret panic") })
	for _, test := range []struct {
		method, path string
		status       int
		body, log    string
	}{
		{"GET", "/livez", 200, `{"status":"alive","version":"development"}`, ""},
		{"GET", "/readyz", 200, `{"dependencies":{"rabbit":"down"},"status":"ready"}`, ""},
		{"GET", "/known", 418, `{"error":"no coffee"}`, ""},
		{"GET", "/unknown", 500, `{"error":"internal error"}`, "secret detail"},
		{"GET", "/panic", 500, `{"error":"internal error"}`, "secret panic"},
		{"GET", "/nothing", 404, `{"error":"Not Found"}`, ""},
		{"POST", "/known", 405, `{"error":"Method Not Allowed"}`, ""},
	} {
		w := httptest.NewRecorder()
		e.ServeHTTP(w, httptest.NewRequest(test.method, test.path, nil))
		if w.Code != test.status || strings.TrimSpace(w.Body.String()) != test.body {
			t.Errorf("%s %s: %d %s", test.method, test.path, w.Code, w.Body)
		}
		if !strings.Contains(logged.String(), test.log) {
			t.Errorf("%s %s is not in the log", test.method, test.path)
		}
	}
	if strings.Contains(logged.String(), "secret cause") {
		t.Error("a 4xx is not the operator's concern")
	}

	required := up
	required.Required = true
	w := httptest.NewRecorder()
	chassis.NewEcho(slog.New(slog.DiscardHandler), required).ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("without what it requires: %d", w.Code)
	}
}

func TestPage(t *testing.T) {
	for query, want := range map[string][2]int64{
		"": {0, 20}, "skip=5": {5, 20}, "limit=3&skip=1": {1, 3}, "limit=99999": {0, chassis.MaxPage}, "limit=0": {0, 0},
		"skip=-1": {-1, -1}, "limit=x": {-1, -1}, "limit=1.5": {-1, -1}, "skip=99999999999": {-1, -1},
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		skip, limit, err := chassis.Page(values, 20)
		var own *chassis.Error
		if want[0] < 0 {
			if !errors.As(err, &own) || own.Status != http.StatusBadRequest {
				t.Errorf("%s: %v", query, err)
			}
		} else if err != nil || skip != want[0] || limit != want[1] {
			t.Errorf("%s: %d %d %v", query, skip, limit, err)
		}
	}
}

func TestViewer(t *testing.T) {
	for value, want := range map[string]string{
		"aZ_-09": "aZ_-09", "": "", "a b": "", "a\x00": "", "é": "", strings.Repeat("a", 64): strings.Repeat("a", 64),
		strings.Repeat("a", 65): "",
	} {
		if got := chassis.Viewer(http.Header{chassis.ViewerHeader: {value}}); got != want {
			t.Errorf("%q gives %q", value, got)
		}
	}
}

func TestReadBody(t *testing.T) {
	for _, test := range []struct {
		body   io.Reader
		want   string
		status int
	}{
		{strings.NewReader("four"), "four", 0},
		{strings.NewReader("five5"), "", 413},
		{io.MultiReader(strings.NewReader("two"), iotest.ErrReader(io.ErrUnexpectedEOF)), "", 400},
	} {
		body, err := chassis.ReadBody(httptest.NewRecorder(), httptest.NewRequest("PUT", "/", test.body), 4)
		status := 0
		if own := (*chassis.Error)(nil); errors.As(err, &own) {
			status = own.Status
		}
		if string(body) != test.want || status != test.status {
			t.Errorf("%q, %v; want %q, %d", body, err, test.want, test.status)
		}
	}
}

// TestGetJSON: whatever the answer, its connection serves the next request, too.
func TestGetJSON(t *testing.T) {
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/found" {
			_, _ = io.WriteString(w, `{"name":"x"}`)
			w.(http.Flusher).Flush() // what follows comes when the value is decoded
			_, _ = io.WriteString(w, "\n")
			return
		}
		http.Error(w, strings.Repeat("secret ", 1000), http.StatusNotFound)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	for range 10 {
		for path, want := range map[string]int{"/found": 200, "/nothing": 404} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			var answer struct{ Name string }
			err = chassis.GetJSON(server.Client(), req, &answer)
			var status *chassis.StatusError
			if want == 200 && (err != nil || answer.Name != "x") {
				t.Errorf("%s: %+v, %v", path, answer, err)
			}
			if want != 200 && (!errors.As(err, &status) || status.Status != want || errors.As(err, new(*chassis.Error))) {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("it took %d connections", n)
	}
}

// TestHTTPCheck: an address with a slash at its end means the same as one without.
func TestHTTPCheck(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/livez" && r.URL.Path != "/below/livez" {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, "{}")
	}))
	defer server.Close()
	for _, path := range []string{"", "/", "/below", "/below/"} {
		base, err := url.Parse(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		if err := chassis.HTTPCheck(server.Client(), base)(t.Context()); err != nil {
			t.Errorf("%q: %v", path, err)
		}
	}
}

// TestProxyHoldsLittle: streams that nobody reads do not each keep a large buffer.
func TestProxyHoldsLittle(t *testing.T) {
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
	transport := chassis.NewTransport()
	defer transport.CloseIdleConnections()
	p := chassis.Proxy(u, transport, slog.New(slog.DiscardHandler), nil, nil)
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

// stuck is a caller that has stopped reading.
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
	p := chassis.Proxy(u.JoinPath("video"), chassis.NewTransport(), slog.New(slog.NewTextHandler(&logged, nil)),
		func(r *httputil.ProxyRequest) { r.Out.URL.RawQuery = "id=1" },
		func(res *http.Response) error { watched = res.StatusCode; return nil })
	req := httptest.NewRequest("GET", "/api/video?id=2", nil)
	req.Header.Set("Range", "bytes=0-1")
	w := httptest.NewRecorder()
	p.ServeHTTP(w, req)
	if w.Code != 206 || watched != 206 || w.Header().Get("X-Seen") != "GET /video?id=1 bytes=0-1" {
		t.Errorf("%d %v, watched %d", w.Code, w.Header(), watched)
	}

	// A caller who breaks off is no news.
	w = httptest.NewRecorder()
	brokenOff := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(io.ErrUnexpectedEOF))
	p.ServeHTTP(w, httptest.NewRequest("POST", "/api/upload", brokenOff))
	if w.Code != 400 || logged.Len() > 0 {
		t.Errorf("a body that broke off: %d %s, logged %s", w.Code, w.Body, &logged)
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
