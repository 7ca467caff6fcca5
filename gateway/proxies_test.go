package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/web"
)

// from returns a client whose connections come from this local address.
func from(t *testing.T, address string) *http.Client {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, to string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, to)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: soon}
}

// TestBehindNginx: limits count the clients of a trusted proxy, and video-upload learns their addresses. A client that
// writes the proxy's headers itself gains nothing.
func TestBehindNginx(t *testing.T) {
	program, err := exec.LookPath("nginx")
	if err != nil {
		chassistest.Missing(t, "nginx (apt-get install nginx-light)")
	}
	seen := make(chan string, 1)
	gateway, _ := startLogged(t, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/upload" {
			_, _ = io.Copy(io.Discard, req.Body)
			seen <- strings.Join(req.Header.Values(web.ClientHeader), " ")
		}
		_, _ = io.WriteString(w, `{"video":{}}`)
	}, "RATE_LIMIT", "1", "TRUSTED_PROXIES", "127.0.0.1")
	proxy, dir := "127.0.0.1:"+chassistest.FreePort(t), t.TempDir()
	startProxy(t, proxy, fmt.Sprintf(`
daemon off;
master_process off;
pid %[1]s/pid;
error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  server {
    listen %[2]s;
    location / {
      proxy_pass %[3]s;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }
  }
}
`, filepath.ToSlash(dir), proxy, gateway), program, "-c")

	ask := func(address string) int {
		t.Helper()
		req := request(t, http.MethodPost, "http://"+proxy+"/api/position?video=x", strings.NewReader("{}"), "X-Forwarded-For", fmt.Sprint("203.0.113.", time.Now().Nanosecond()%250))
		res, err := from(t, address).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	rejected := false
	for range 200 { // an address has 100, and one each tenth of a second
		if rejected = ask("127.0.0.2") == http.StatusTooManyRequests; rejected {
			break
		}
	}
	if !rejected {
		t.Error("an address behind the proxy has no limit of its own")
	}
	if status := ask("127.0.0.3"); status != http.StatusNoContent {
		t.Errorf("another address behind the proxy: %d", status)
	}

	res, err := from(t, "127.0.0.4").Do(request(t, http.MethodPost, "http://"+proxy+"/api/upload", strings.NewReader("film"),
		web.ClientHeader, "203.0.113.5", "X-Forwarded-For", "203.0.113.6"))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if address := within(t, "the upload", seen); address != "127.0.0.4" {
		t.Errorf("video-upload gets the address %q", address)
	}
	form, contentType := formWith(t, "a.mp4", []byte("film"))
	res, err = from(t, "127.0.0.5").Do(request(t, http.MethodPost, gateway+"/upload", strings.NewReader(string(form)),
		"Content-Type", contentType, "X-Forwarded-For", "203.0.113.6"))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if address := within(t, "the form's upload", seen); address != "127.0.0.5" {
		t.Errorf("video-upload gets the address %q of a form", address)
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
