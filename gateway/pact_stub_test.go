//go:build pact

package main

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
)

// freePorts returns the first digits of ports that are free for all services, as PORTS has them.
func freePorts(t *testing.T) string {
	t.Helper()
	for range 100 {
		ports := fmt.Sprint(2000 + rand.IntN(3000))
		free := true
		for digit := range 7 {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%s%d", ports, digit))
			if err != nil {
				free = false
				break
			}
			l.Close()
		}
		if free {
			return ports
		}
	}
	t.Fatal("no ports are free")
	return ""
}

// TestPactStubs opens the home page where every other service is a stub that answers as the gateway's pacts say.
func TestPactStubs(t *testing.T) {
	home := os.Getenv("PACT_HOME") //nolint:forbidigo // no getenv is given here
	if home == "" {
		home = "../tools/pact/node_modules"
	}
	if _, err := os.Stat(filepath.Join(home, "@pact-foundation/pact-cli-linux-x64")); err != nil {
		chassistest.Missing(t, "the Pact client (scripts/contracts install)")
	}
	ports := freePorts(t)
	stubs := exec.Command("../scripts/contracts", "stub", "gateway")
	stubs.Env = append(os.Environ(), "PORTS="+ports)
	stubs.Stderr = t.Output()
	stubs.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := stubs.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-stubs.Process.Pid, syscall.SIGTERM)
		_ = stubs.Wait()
	})
	at := func(digit int) *url.URL {
		address := fmt.Sprintf("127.0.0.1:%s%d", ports, digit)
		chassistest.Eventually(t, time.Minute, address+" listens", func() error { return chassistest.Listening(address) })
		return &url.URL{Scheme: "http", Host: address}
	}
	h, err := newHandler(config{
		metadata: at(6), history: at(2), recommendations: at(3), streams: at(1), upload: at(4), rateLimit: 100, viewerKeys: [][]byte{[]byte(testKey)},
	}, 5*time.Second, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	res := httptest.NewRecorder()
	h.ServeHTTP(res, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	page := res.Body.String()
	for _, want := range []string{`href="/video?id=` + pactVideo + `"`, "My holiday"} {
		if res.Code != http.StatusOK || !strings.Contains(page, want) {
			t.Errorf("%d, a page without %s", res.Code, want)
		}
	}
	if strings.Contains(page, `class="missing"`) || t.Failed() {
		t.Errorf("a part is missing:\n%s", page)
	}
}
