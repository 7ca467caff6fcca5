package health_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
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
