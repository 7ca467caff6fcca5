//go:build linux

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"flixtube/chassis/chassistest"
)

func nginxProgram(tb testing.TB) string {
	tb.Helper()
	for _, name := range []string{"nginx", "/usr/sbin/nginx"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	chassistest.Missing(tb, "nginx (apt install nginx-light)")
	return ""
}

// nginxConfig has the two proxies and the store in one nginx. Its ports are those of the front, the second proxy and the store.
// Without tcp_nopush: over the loopback, whose packets are large, that delays the end of each 64 KiB range by 40 ms.
const nginxConfig = `
daemon off;
worker_processes auto;
pid nginx.pid;
error_log stderr;
events { worker_connections 4096; }
http {
  access_log off;
  sendfile on;
  sendfile_max_chunk 2m;
  keepalive_requests 1000000;
  client_body_temp_path body; proxy_temp_path proxied; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_buffers 8 64k;
  proxy_buffer_size 64k;
  proxy_max_temp_file_size 0;
  upstream second { server 127.0.0.1:%[2]s; keepalive 256; }
  upstream store { server 127.0.0.1:%[3]s; keepalive 256; }
  server { listen 127.0.0.1:%[1]s; location = /api/video { proxy_pass http://second/video; } }
  server { listen 127.0.0.1:%[2]s; location = /video { proxy_pass http://store; } }
  server { listen 127.0.0.1:%[3]s; root %[4]q; location = /video { rewrite ^ /$arg_id/video break; } }
}
`

// newNginx starts nginx with the files of a video-storage.
func newNginx(b *testing.B, program, files string) *chain {
	b.Helper()
	folder := b.TempDir()
	front, second, store := chassistest.FreePort(b), chassistest.FreePort(b), chassistest.FreePort(b)
	config := filepath.Join(folder, "nginx.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, front, second, store, files), 0o600); err != nil {
		b.Fatal(err)
	}
	if os.Geteuid() == 0 { // then the workers are of another user
		for folder := files; folder != filepath.Dir(work); folder = filepath.Dir(folder) {
			_ = os.Chmod(folder, 0o755) // they hold random bytes
		}
	}
	cmd := exec.CommandContext(context.WithoutCancel(b.Context()), program, "-p", folder, "-c", config)
	cmd.Stderr = &logs
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { // a master that is killed would leave its workers behind
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	for _, port := range []string{front, second, store} {
		chassistest.Eventually(b, timeout, "nginx listens", func() error { return chassistest.Listening("127.0.0.1:" + port) })
	}
	pids := []int{cmd.Process.Pid}
	chassistest.Eventually(b, timeout, "nginx has its workers", func() error {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid))
		if err != nil {
			return err
		}
		pids = pids[:1]
		for child := range strings.FieldsSeq(string(children)) {
			pid, err := strconv.Atoi(child)
			if err != nil {
				return err
			}
			pids = append(pids, pid)
		}
		if len(pids) <= runtime.NumCPU() {
			return fmt.Errorf("it has %d processes", len(pids))
		}
		return nil
	})
	return &chain{
		name: "nginx", front: "127.0.0.1:" + front, store: "127.0.0.1:" + store, frontPath: "/api/video",
		pids: func(bool) []int { return pids },
	}
}
