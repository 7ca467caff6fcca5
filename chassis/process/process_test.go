package process_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/process"
)

func TestEnvNamesAllThatIsWrong(t *testing.T) {
	env := process.NewEnv(chassistest.Env(map[string]string{"METADATA_URL": "metadata:80", "LIMIT": "-1", "LOG_LEVEL": "verbose", "NAME": "x"}))
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
		env := process.NewEnv(chassistest.Env(map[string]string{"LOG_LEVEL": value}))
		if got := env.LogLevel(); got != want || env.Err() != nil {
			t.Errorf("%q: %v, %v", value, got, env.Err())
		}
	}
}

func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var logged chassistest.Buffer
	err = process.Service{Addr: l.Addr().String(), Handler: http.NotFoundHandler(), Log: process.NewLogger(&logged, slog.LevelInfo)}.Run(t.Context())
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
		return process.Service{
			Addr: process.NewEnv(getenv).Addr(), Log: process.NewLogger(stdout, slog.LevelInfo),
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
	err := process.Service{
		Addr: "127.0.0.1:0", Handler: http.NotFoundHandler(), Log: slog.New(slog.DiscardHandler),
		Background: []func(context.Context) error{func(context.Context) error { return broken }},
	}.Run(t.Context())
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

// TestSecrets: a secret is in its variable or in a file, and no error shows it.
func TestSecrets(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	full, empty := file("full", "secret\r\n"), file("empty", "\n")
	for _, test := range []struct {
		vars       map[string]string
		want, fail string
	}{
		{map[string]string{"KEY": "secret"}, "secret", ""},
		{map[string]string{"KEY_FILE": full}, "secret", ""},
		{map[string]string{}, "", "missing environment variables: KEY"},
		{map[string]string{"KEY_FILE": empty}, "", "missing environment variables: KEY"},
		{map[string]string{"KEY_FILE": filepath.Join(dir, "none")}, "", "KEY_FILE names a file that cannot be read: open "},
		{map[string]string{"KEY": "secret", "KEY_FILE": full}, "", "KEY and KEY_FILE exclude each other"},
	} {
		env := process.NewEnv(chassistest.Env(test.vars))
		got, err := env.Secret("KEY"), env.Err()
		if got != test.want || (err == nil) != (test.fail == "") {
			t.Errorf("%v: %q, %v", test.vars, got, err)
		}
		if err != nil && (!strings.HasPrefix(err.Error(), test.fail) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%v: %v", test.vars, err)
		}
	}
}
