package process

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"
)

// TestClose: a connection is there until the client has received everything. One whose answer ended too early, and one that is
// cut off, is reset, and that reaches a client that has not read what came before.
func TestClose(t *testing.T) {
	const film = 64 << 10 // bytes, less than the system takes for a client that reads nothing
	for name, end := range map[string]func(*conn){
		"received": func(*conn) {},
		"cut off":  func(c *conn) { close(c.listener.cut) },
	} {
		t.Run(name, func(t *testing.T) {
			c, other := narrow(t, time.Minute)
			if _, err := c.Write(make([]byte, film)); err != nil {
				t.Fatal(err)
			}
			c.Close()
			soon, cancel := context.WithTimeout(t.Context(), 4*lingerPoll)
			defer cancel()
			if c.listener.drain(soon) == nil {
				t.Fatal("the client has read nothing, and the connection is not waited for")
			}
			end(c)
			n, err := io.Copy(io.Discard, other)
			if name == "received" && (err != nil || n != film) || name == "cut off" && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the client got %d bytes, %v", n, err)
			}
			if err := c.listener.drain(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("not read for too long", func(t *testing.T) {
		c, other := narrow(t, time.Second)
		if _, err := c.Write(make([]byte, film)); err != nil {
			t.Fatal(err)
		}
		c.Close()
		if err := c.listener.drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, other); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the client got %v", err)
		}
	})
	t.Run("a write that failed", func(t *testing.T) {
		c, other := pipe(t, time.Second)
		if _, err := c.Write(make([]byte, 64<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("the client reads nothing, and the write got %v", err)
		}
		c.Close()
		if _, err := io.Copy(io.Discard, other); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the client got %v", err)
		}
	})
	t.Run("a handler that panics", func(t *testing.T) {
		address, _ := serve(t, resetBroken(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(make([]byte, film))
			panic(http.ErrAbortHandler)
		})), Connections{}, defaultBodyTimes)
		c := dialRaw(t, address)
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, err := io.Copy(io.Discard, c); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the client got %v", err)
		}
	})
}

// narrow is a pipe whose other end takes a few kilobytes as long as nothing is read.
func narrow(t *testing.T, timeout time.Duration) (*conn, net.Conn) {
	t.Helper()
	c, other := pipe(t, timeout)
	if err := other.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	return c, other
}
