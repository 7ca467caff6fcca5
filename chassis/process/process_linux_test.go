package process_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/process"
)

// TestStopWaitsForClients: a service that stops does not end before its clients have what was sent to them. The network of a
// pod ends with it, and the rest would never come.
func TestStopWaitsForClients(t *testing.T) {
	const size = 64 << 10 // bytes, less than the system takes for a client that reads nothing
	run := func(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
		return process.Service{
			Addr: process.NewEnv(getenv).Addr(), Log: process.NewLogger(stdout, slog.LevelInfo),
			Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				_, _ = w.Write(make([]byte, size))
				if req.URL.Path == "/broken" {
					panic(http.ErrAbortHandler)
				}
			}),
		}.Run(ctx)
	}
	address, stop := chassistest.StartStop(t, run, nil)
	ask := func(path string) net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
		if err == nil {
			err = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		}
		if err == nil {
			_, err = io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
		}
		if err == nil {
			_, err = conn.Read(make([]byte, 1)) // the answer has begun
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	if _, err := io.Copy(io.Discard, ask("/broken")); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client of an answer that breaks off got %v", err)
	}
	slow := ask("/")
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	select {
	case <-stopped:
		t.Error("the service has ended, and the client has not read its answer")
	case <-time.After(500 * time.Millisecond):
	}
	if n, err := io.Copy(io.Discard, slow); err != nil || n < size {
		t.Errorf("the client got %d bytes, %v", n, err)
	}
	<-stopped
}
