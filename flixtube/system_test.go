package main

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func noEnv(string) string { return "" }

// briefly is the context of a launcher that should not get far; if it does, the test ends all the same.
func briefly(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestAPortThatIsTakenIsNamedFirst(t *testing.T) {
	for _, host := range []string{"127.0.0.1", ""} {
		listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		_, port, _ := net.SplitHostPort(listener.Addr().String())
		data := filepath.Join(t.TempDir(), "data")
		err = run(briefly(t), []string{"-data", data, "-port", port}, noEnv, t.Output())
		if want := "gateway: port " + port + " is taken; choose another with -port"; err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
		if _, err := os.Stat(data); err == nil {
			t.Error("it began all the same")
		}
	}
}

func TestADataFolderHasOneLauncher(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	unlock, err := lock(data)
	if err != nil {
		t.Fatal(err)
	}
	err = run(briefly(t), []string{"servers", "-data", data}, noEnv, t.Output())
	if err == nil || !strings.Contains(err.Error(), data+" is in use by another flixtube") {
		t.Errorf("error %v", err)
	}
	unlock()
	unlock, err = lock(data)
	if err != nil {
		t.Fatalf("after unlock: %v", err)
	}
	unlock()
}

func TestArgumentsThatAreWrong(t *testing.T) {
	for _, args := range [][]string{{"nonsense"}, {"-port", "65536"}, {"-port", "x"}, {"servers"}, {"servers", "-data", "x", "y"}} {
		if err := run(briefly(t), args, noEnv, t.Output()); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}

func TestServicesGetTheirOwnVariablesOnly(t *testing.T) {
	inherited := []string{"PATH=/bin", "HOST=elsewhere", "STORAGE_ACCESS_KEY=secret", "OUTBOX_DIR=old", "RABBIT=old", "VIEWED_DELIVERY=queue"}
	vars := map[string]string{"HOST": "127.0.0.1", "RABBIT": "nats://x", "STORAGE_ACCESS_KEY": "secret", "HISTORY_URL": "http://h"}
	tests := map[string]struct{ needs, want []string }{
		"one that needs nothing": {nil, []string{"HISTORY_URL=http://h", "HOST=127.0.0.1", "PATH=/bin", "VIEWED_DELIVERY=queue"}},
		"one with messages": {
			[]string{"RABBIT"},
			[]string{"HISTORY_URL=http://h", "HOST=127.0.0.1", "PATH=/bin", "RABBIT=nats://x", "VIEWED_DELIVERY=queue"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := environment(inherited, vars, test.needs)
			slices.Sort(got)
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestServersThatAreGivenAreUsed(t *testing.T) {
	given := map[string]string{"RABBIT": "amqp://r", "DBHOST": "mongodb://d", "STORAGE_ACCOUNT_NAME": "a"}
	s := &system{
		options: options{data: t.TempDir(), getenv: func(name string) string { return given[name] }},
		output:  newOutput(t.Output()),
	}
	vars, err := s.startServers()
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	if len(s.ended) != 0 {
		t.Errorf("%d servers were started", len(s.ended))
	}
	for name, value := range given {
		if vars[name] != value {
			t.Errorf("%s is %q, want %q", name, vars[name], value)
		}
	}
	if vars["VIDEOS_DIR"] != "" {
		t.Error("VIDEOS_DIR is set beside the Azure storage")
	}
}

func TestServersAlone(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	r, stdout := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"servers", "-data", data, "-remove"}, noEnv, stdout)
		stdout.Close()
	}()
	lines := readLines(r)
	database, broker := find(t, lines, "DBHOST=mongodb://"), find(t, lines, "RABBIT=nats://")
	if !answers(database) || !answers(broker) {
		t.Error("a server does not answer")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if answers(database) || answers(broker) {
		t.Error("a server is still running")
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("the folder is still there")
	}
}
