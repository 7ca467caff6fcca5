package web_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/health"
	"flixtube/chassis/process"
	"flixtube/chassis/web"
)

func TestAnswers(t *testing.T) {
	var logged chassistest.Buffer
	up := health.Check{Name: "rabbit", Probe: func(context.Context) error { return errors.New("down") }}
	e := web.NewEcho(process.NewLogger(&logged, slog.LevelInfo), up)
	e.GET("/known", func(echo.Context) error {
		return web.Errorf(http.StatusTeapot, "no_drink", "no %s", "coffee").With("drink", "coffee").Because(errors.New("secret cause"))
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
		{"GET", "/known", 418, `{"error":"no coffee","code":"no_drink","args":{"drink":"coffee"}}`, ""},
		{"GET", "/unknown", 500, `{"error":"internal error","code":"internal_error"}`, "secret detail"},
		{"GET", "/panic", 500, `{"error":"internal error","code":"internal_error"}`, "secret panic"},
		{"GET", "/nothing", 404, `{"error":"Not Found","code":"not_found"}`, ""},
		{"POST", "/known", 405, `{"error":"Method Not Allowed","code":"method_not_allowed"}`, ""},
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
	web.NewEcho(slog.New(slog.DiscardHandler), required).ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("without what it requires: %d", w.Code)
	}
}

func TestPage(t *testing.T) {
	for query, want := range map[string][2]int64{
		"": {0, 20}, "skip=5": {5, 20}, "limit=3&skip=1": {1, 3}, "limit=99999": {0, web.MaxPage}, "limit=0": {0, 0},
		"skip=-1": {-1, -1}, "limit=x": {-1, -1}, "limit=1.5": {-1, -1}, "skip=99999999999": {-1, -1},
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		skip, limit, err := web.Page(values, 20)
		var own *web.Error
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
		if got := web.Viewer(http.Header{web.ViewerHeader: {value}}); got != want {
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
		body, err := web.ReadBody(httptest.NewRecorder(), httptest.NewRequest("PUT", "/", test.body), 4)
		status := 0
		if own := (*web.Error)(nil); errors.As(err, &own) {
			status = own.Status
		}
		if string(body) != test.want || status != test.status {
			t.Errorf("%q, %v; want %q, %d", body, err, test.want, test.status)
		}
	}
}

// TestNewBody: an incomplete body never looks complete, however often it is read.
func TestNewBody(t *testing.T) {
	for _, test := range []struct {
		body   io.Reader
		status int
	}{
		{io.MultiReader(strings.NewReader("half"), iotest.ErrReader(io.ErrUnexpectedEOF), strings.NewReader("")), 400},
		{http.MaxBytesReader(httptest.NewRecorder(), io.NopCloser(strings.NewReader("five5")), 4), 413},
	} {
		body := web.NewBody(io.NopCloser(once{test.body, new(bool)}))
		for range 3 {
			data, err := io.ReadAll(body)
			var own *web.Error
			if !errors.As(err, &own) || own.Status != test.status || errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%q, %v; want %d", data, err, test.status)
			}
		}
	}
	if data, err := io.ReadAll(web.NewBody(io.NopCloser(strings.NewReader("whole")))); string(data) != "whole" || err != nil {
		t.Errorf("%q, %v", data, err)
	}
}

// once returns io.EOF after an error, as the body of net/http does.
type once struct {
	io.Reader
	failed *bool
}

func (o once) Read(p []byte) (int, error) {
	if *o.failed {
		return 0, io.EOF
	}
	n, err := o.Reader.Read(p)
	*o.failed = err != nil
	return n, err
}

func TestClient(t *testing.T) {
	for sent, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8::1": "2001:db8::", "2001:db8::2": "2001:db8::",
		"": "", "192.0.2.1:80": "", "192.0.2.1, 192.0.2.2": "", "host": "",
	} {
		if got := web.Client(http.Header{web.ClientHeader: {sent}}); got != want {
			t.Errorf("%q: %q, want %q", sent, got, want)
		}
	}
}
