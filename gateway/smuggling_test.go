package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
)

// pause is longer than a body that is not an upload may take.
const pause = 31500 * time.Millisecond

const smuggled = "GET /livez?x HTTP/1.1\r\nHost: x\r\nX-Padding: 123456\r\n\r\n"

func dial(t *testing.T, address string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(pause + 3*soon))
	return conn, bufio.NewReader(conn)
}

// TestLateBodyIsNoRequest: the bytes of a body that come after a pause are not taken for a request.
func TestLateBodyIsNoRequest(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes as long as a body may take")
	}
	t.Parallel()
	gateway := chassistest.Start(t, run, nil)
	type attack struct {
		head string
		conn net.Conn
		r    *bufio.Reader
	}
	var attacks []attack
	for _, path := range []string{"/nope", "/language", "/api/upload", "/api/uploads", "/api/position?video=x"} {
		for _, framing := range []string{fmt.Sprintf("Content-Length: %d", len(smuggled)), "Transfer-Encoding: chunked"} {
			head := "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n" + framing + "\r\n\r\n"
			conn, r := dial(t, gateway)
			_, _ = io.WriteString(conn, head)
			attacks = append(attacks, attack{head, conn, r})
		}
	}
	time.Sleep(pause) // the attack itself
	for _, a := range attacks {
		_, _ = io.WriteString(a.conn, smuggled) // it may be closed already
		_ = a.conn.SetReadDeadline(time.Now().Add(soon))
		answer, err := io.ReadAll(a.r)
		if strings.Count(string(answer), "HTTP/1.1") > 1 || strings.Contains(string(answer), "alive") {
			t.Errorf("after %q the late bytes were a request: %s", a.head, answer)
		}
		if strings.HasPrefix(a.head, "POST /nope") && errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after %q the connection is still open", a.head)
		}
	}
}

// TestNobodyGetsAnothersAnswer: behind a proxy that shares its connections among clients, a late body gives no other client
// the answer to it.
func TestNobodyGetsAnothersAnswer(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes as long as a body may take")
	}
	t.Parallel()
	program, err := exec.LookPath("haproxy")
	if err != nil {
		chassistest.Missing(t, "haproxy (apt-get install haproxy)")
	}
	slow := httptest.NewServer(http.HandlerFunc(hangs))
	t.Cleanup(slow.Close)
	gateway := chassistest.Start(t, run, map[string]string{"METADATA_URL": slow.URL}) // its home page takes a second
	proxy := "127.0.0.1:" + chassistest.FreePort(t)
	startProxy(t, proxy, fmt.Sprintf(`
defaults
  mode http
  timeout connect 5s
  timeout client 90s
  timeout server 90s
  timeout http-request 90s
frontend public
  bind %s
  default_backend gateway
backend gateway
  http-reuse always
  server one %s
`, proxy, strings.TrimPrefix(gateway, "http://")), program, "-db", "-f")

	const late = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	attacker, _ := dial(t, proxy)
	_, _ = fmt.Fprintf(attacker, "POST /nope HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", len(late))
	time.Sleep(pause) // the attack itself
	_, _ = io.WriteString(attacker, late)
	for range 20 {
		res, body := do(t, request(t, http.MethodGet, "http://"+proxy+"/livez", nil))
		if res.StatusCode != http.StatusOK || len(res.Cookies()) > 0 || !strings.Contains(body, "alive") {
			t.Errorf("a viewer gets %s %v %s", res.Status, res.Header, body)
		}
	}
}

// startProxy runs a program with a configuration until the end of the test, and waits until it listens.
func startProxy(t *testing.T, address, config, program string, args ...string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "proxy.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, append(args, file)...)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	chassistest.Eventually(t, soon, program+" listens", func() error { return chassistest.Listening(address) })
}
