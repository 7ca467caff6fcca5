package process

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/backoff"
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
		{[]string{"-version"}, "", 200, true, Name() + " development\n", ""},
		{[]string{"-health"}, port, 200, true, "", ""},
		{[]string{"-health"}, port, 503, true, "", `503 Service Unavailable: {"db":"down"}`},
		{[]string{"-watchdog"}, port, 200, true, "", ""},
		{[]string{"-watchdog"}, port, 503, true, "", `503 Service Unavailable: {"db":"down"}`}, // it lives
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

// missing is chassistest.Missing, which needs this package.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" { //nolint:forbidigo // no service reads it
		t.Fatalf("%s is missing, and under CI=true nothing may be", what)
	}
	t.Skipf("%s is missing on this machine", what)
}

// TestIPv6 has a service on a machine without IPv4: -health finds it, and so do the URLs of others.
func TestIPv6(t *testing.T) {
	listener, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		missing(t, "IPv6")
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	_ = listener.Close() // the service takes the port
	for _, host := range []string{"::1", "[::1]"} {
		env := func(name string) string {
			return map[string]string{"HOST": host, "PORT": port, "HISTORY_URL": "http://[::1]:" + port}[name]
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- Service{
				Addr: NewEnv(env).Addr(), Log: slog.New(slog.DiscardHandler),
				Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }),
			}.Run(ctx)
		}()
		wait := backoff.Backoff{Min: 10 * time.Millisecond}
		deadline := time.Now().Add(30 * time.Second)
		for {
			_, err := answerFlag([]string{"-health"}, env, io.Discard)
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("HOST=%s: -health: %v", host, err)
			}
			wait.Wait(ctx, err)
		}
		withoutHost := func(name string) string { return map[string]string{"PORT": port}[name] }
		if _, err := answerFlag([]string{"-health"}, withoutHost, io.Discard); err != nil {
			t.Errorf("without HOST: -health: %v", err)
		}
		res, err := http.Get(NewEnv(env).URL("HISTORY_URL", "").JoinPath("livez").String())
		if err != nil {
			t.Error(err)
		} else {
			res.Body.Close()
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
