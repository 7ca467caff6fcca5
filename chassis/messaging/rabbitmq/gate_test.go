package rabbitmq

import (
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// TestGate: what waited for longer than the deadline of the library is read all the same.
func TestGate(t *testing.T) {
	for name, end := range map[string]func(*gate){
		"the consumer took some": func(g *gate) { g.add(-1) },
		"the session is closed":  (*gate).open,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				defer theirs.Close()
				g := newGate(ours)
				defer g.Close()
				if err := g.SetReadDeadline(time.Now().Add(silence)); err != nil {
					t.Fatal(err)
				}
				g.add(maxWaiting + 1)
				go func() { _, _ = theirs.Write([]byte("x")) }()
				read := make(chan error, 1)
				go func() {
					_, err := g.Read(make([]byte, 1))
					read <- err
				}()
				<-time.After(time.Minute)
				select {
				case err := <-read:
					t.Fatalf("read beyond the limit: %v", err)
				default:
				}
				end(g)
				if err := <-read; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
