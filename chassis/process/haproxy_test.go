//go:build unix

package process

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// haproxy starts one in front of a server, whose connections it uses for the requests of all clients, and returns its
// address.
func haproxy(t *testing.T, server string) string {
	t.Helper()
	program, err := exec.LookPath("haproxy")
	if err != nil {
		program = "/usr/sbin/haproxy" // not on everybody's PATH
	}
	if _, err := os.Stat(program); err != nil {
		missing(t, "haproxy")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	config := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(config, fmt.Appendf(nil, `
global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  http-reuse always
  retry-on conn-failure empty-response # the server may close a connection just as a request is sent on it
listen site
  bind fd@3
  server site %s
`, server), 0o600); err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	cmd := exec.Command(program, "-db", "-f", config)
	cmd.ExtraFiles, cmd.Stdout, cmd.Stderr = []*os.File{file}, &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("haproxy: %s", output.String())
		}
	})
	return listener.Addr().String()
}

// TestLateBodyBehindAProxy: the bytes of a body that come late are not taken for the next viewer's request, by a proxy
// that sends the requests of all on the same connections. They are the beginning of a request, so that the next one would
// be part of it.
func TestLateBodyBehindAProxy(t *testing.T) {
	const late = "GET /of-the-attacker HTTP/1.1\r\nX-Swallows: "
	times := bodyTimes{whole: 300 * time.Millisecond} // what comes after that is late at once
	handled := make(chan string, 1)
	server, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodGet {
			_, _ = io.WriteString(w, req.URL.Path)
			return
		}
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex() // otherwise net/http ends the connection itself
		w.Header().Set("Content-Length", fmt.Sprint(len(req.URL.Path)))
		_, _ = io.WriteString(w, req.URL.Path)
		_ = control.Flush()
		_, _ = io.Copy(io.Discard, req.Body)
		handled <- req.URL.Path
	}), Connections{}, times)
	proxy := haproxy(t, server)

	attacker := dialRaw(t, proxy)
	attacker.send(fmt.Sprintf("POST /nope HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", len(late)))
	if status := attacker.status(); status != http.StatusOK {
		t.Fatal(status)
	}
	if path := <-handled; path != "/nope" {
		t.Fatal(path)
	}
	_, _ = io.WriteString(attacker, late) // it may be closed already
	var viewers sync.WaitGroup
	for i := range 100 { // so many at once that the proxy uses each connection that it has kept
		viewers.Go(func() {
			path := fmt.Sprintf("/of-the-viewer/%d", i)
			viewer := dialRaw(t, proxy)
			_, _ = fmt.Fprintf(viewer, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
			res, err := http.ReadResponse(viewer.r, nil)
			if err != nil {
				t.Errorf("the viewer of %s: %v", path, err)
				return
			}
			defer res.Body.Close()
			if answer, err := io.ReadAll(res.Body); string(answer) != path || err != nil {
				t.Errorf("the viewer of %s gets %d %q, %v", path, res.StatusCode, answer, err)
			}
		})
	}
	viewers.Wait()
}
