package process

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestFlags(t *testing.T) {
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			t.Errorf("asked for %s", r.URL)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"db":"down"}`))
	}))
	defer server.Close()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	for _, tc := range []struct {
		args     []string
		port     string
		status   int
		answered bool
		out, err string
	}{
		{nil, port, 200, false, "", ""},
		{[]string{"-data"}, port, 200, false, "", ""},
		{[]string{"-data", "-health"}, port, 200, false, "", ""},
		{[]string{"-version"}, "", 200, true, "chassis development\n", ""},
		{[]string{"-health"}, port, 200, true, "", ""},
		{[]string{"-health"}, port, 503, true, "", `503 Service Unavailable: {"db":"down"}`},
		{[]string{"-health"}, "1", 200, true, "", "connection refused"},
		{[]string{"-health"}, "", 200, true, "", "missing environment variables: PORT"},
	} {
		status = tc.status
		var out strings.Builder
		answered, err := answerFlag(tc.args, func(name string) string { return map[string]string{"PORT": tc.port}[name] }, &out)
		if answered != tc.answered || out.String() != tc.out {
			t.Errorf("%v: answered %t, printed %q", tc.args, answered, out.String())
		}
		if (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%v on port %q: %v", tc.args, tc.port, err)
		}
	}
}
