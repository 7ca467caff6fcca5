package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"flixtube/chassis/web"
)

func TestInner(t *testing.T) {
	inner := web.Inner(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for _, c := range []struct {
		method, host string
		header       []string
		want         int
	}{
		{"GET", "history", nil, 204},
		{"GET", "history:80", nil, 204},
		{"GET", "localhost:4002", nil, 204},
		{"GET", "127.0.0.1:4002", nil, 204},
		{"GET", "10.1.2.3", nil, 204},
		{"GET", "[::1]:4002", nil, 204},
		{"GET", "[fe80::1]", nil, 204},
		{"GET", "", nil, 204}, // HTTP/1.0
		{"GET", "history.flixtube.svc", nil, 204},
		{"GET", "history.flixtube.svc.cluster.local:8080", nil, 204},
		{"GET", "History.flixtube.svc.cluster.local.", nil, 204},
		{"GET", "host.docker.internal:4002", nil, 204},
		{"POST", "history", nil, 204},
		{"GET", "evil.example", nil, 421},
		{"GET", "evil.example:4002", nil, 421},
		{"GET", "history.evil.example", nil, 421},
		{"GET", "127.0.0.1.evil.example", nil, 421},
		{"GET", "svc.cluster.local.evil.example.", nil, 421},
		{"GET", "printer.local", nil, 421},
		{"GET", "evilsvc.example", nil, 421},
		{"GET", "localhost:4002", []string{"Sec-Fetch-Site", "none"}, 204},
		{"GET", "localhost:4002", []string{"Sec-Fetch-Site", "same-origin"}, 204},
		{"GET", "localhost:4002", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"POST", "localhost:4002", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"POST", "localhost:4002", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"POST", "localhost:4002", []string{"Origin", "https://evil.example"}, 403},
		{"POST", "localhost:4002", []string{"Origin", "http://localhost:4002"}, 204},
	} {
		req := httptest.NewRequest(c.method, "/history", nil)
		req.Host = c.host
		for i := 0; i < len(c.header); i += 2 {
			req.Header.Set(c.header[i], c.header[i+1])
		}
		w := httptest.NewRecorder()
		inner.ServeHTTP(w, req)
		if w.Code != c.want || w.Code != http.StatusNoContent && !strings.HasPrefix(w.Body.String(), `{"error":"`) {
			t.Errorf("%s at %q with %q: %d %s, want %d", c.method, c.host, c.header, w.Code, w.Body, c.want)
		}
	}
}
