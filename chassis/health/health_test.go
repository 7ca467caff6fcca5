package health_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"flixtube/chassis/health"
)

// TestService: an address with a slash at its end means the same as one without.
func TestService(t *testing.T) {
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
		if err := health.Service("x", server.Client(), base).Probe(t.Context()); err != nil {
			t.Errorf("%q: %v", path, err)
		}
	}
}

// TestHandler: only a required dependency makes the service not ready, and only a public error is shown.
func TestHandler(t *testing.T) {
	check := func(name string, required, public bool, err error) health.Check {
		return health.Check{Name: name, Required: required, Public: public, Probe: func(context.Context) error { return err }}
	}
	failed := errors.New("secret")
	for _, test := range []struct {
		checks []health.Check
		status int
		body   string
	}{
		{nil, 200, `{"dependencies":{},"status":"ready"}`},
		{[]health.Check{check("a", true, true, nil)}, 200, `{"dependencies":{"a":"ok"},"status":"ready"}`},
		{[]health.Check{check("a", false, false, failed)}, 200, `{"dependencies":{"a":"down"},"status":"ready"}`},
		{
			[]health.Check{check("a", true, false, failed), check("b", false, true, nil)},
			503,
			`{"dependencies":{"a":"down","b":"ok"},"status":"not ready"}`,
		},
		{
			[]health.Check{check("queue q", true, true, errors.New("wrong type")), check("b", false, false, failed)},
			503,
			`{"dependencies":{"b":"down","queue q":"down"},"reasons":{"queue q":"wrong type"},"status":"not ready"}`,
		},
	} {
		w := httptest.NewRecorder()
		health.Handler(test.checks).ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
		if got := strings.TrimSpace(w.Body.String()); w.Code != test.status || got != test.body {
			t.Errorf("%d %s, want %d %s", w.Code, got, test.status, test.body)
		}
	}
}
