//go:build unix

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/process"
	"flixtube/gateway/internal/edge"
)

// childVariable makes the test binary behave as the gateway.
const childVariable = "GATEWAY_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" { //nolint:forbidigo // a test has no other
		process.Main(run)
		return
	}
	os.Exit(m.Run())
}

// TestConnectionsPerAddress: the gateway as main starts it, with few descriptors, lets one address have an eighth of them.
func TestConnectionsPerAddress(t *testing.T) {
	const descriptors, share = 256, 256 / 2 / addressShare
	port := chassistest.FreePort(t)
	cmd := exec.Command("sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0"`, descriptors), os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"=1", "HOST=127.0.0.1", "PORT="+port, "VIEWER_KEY="+testKey)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	address := net.JoinHostPort("127.0.0.1", port)
	chassistest.Eventually(t, soon, "the gateway listens", func() error { return chassistest.Listening(address) })
	ask := func() error {
		conn, r := dial(t, address)
		_, _ = io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n") // it may be closed already
		_, err := finalResponse(r, http.MethodGet)
		return err
	}
	for i := range share {
		// The connection that found it listening may still count.
		chassistest.Eventually(t, soon, fmt.Sprintf("connection %d of %d is served", i+1, share), ask)
	}
	if err := ask(); err == nil {
		t.Errorf("connection %d of one address is served", share+1)
	}
}

// TestRequestsPerAddress: the gateway as main starts it bounds the requests in flight of one address.
func TestRequestsPerAddress(t *testing.T) {
	gateway, _ := startLogged(t, answers(object{}))
	for i := range edge.RequestsPerAddress {
		conn, r := dial(t, gateway)
		_, _ = io.WriteString(conn, "POST /nope HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n") // whose body is awaited
		if res, err := finalResponse(r, http.MethodPost); err != nil || res.StatusCode != http.StatusNotFound {
			t.Fatalf("request %d: %v, %v", i, res, err)
		}
	}
	res, body := do(t, request(t, http.MethodGet, gateway+"/api/none", nil))
	if res.StatusCode != http.StatusTooManyRequests || !strings.Contains(body, "too_many_requests") {
		t.Errorf("one more: %s %s", res.Status, body)
	}
}
