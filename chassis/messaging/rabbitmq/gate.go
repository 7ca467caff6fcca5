package rabbitmq

import (
	"net"
	"sync"
	"time"
)

// maxWaiting is how many bytes of bodies a session keeps for its consumer. RabbitMQ bounds by number alone what it sends.
const maxWaiting = 4 << 20

// gate is the socket of a connection. It reads nothing while more than maxWaiting bytes wait for the consumer: the rest
// waits in the broker, as TCP makes it. What the library reads meanwhile, one message at most, comes on top. RabbitMQ 3.10
// ends a session that it could send nothing for 30 s (seen), after which the messages come again.
type gate struct {
	net.Conn

	mu      sync.Mutex
	less    *sync.Cond
	waiting int  // bytes
	always  bool // open, whatever waits
}

func newGate(conn net.Conn) *gate {
	g := &gate{Conn: conn}
	g.less = sync.NewCond(&g.mu)
	return g
}

// Read implements [net.Conn].
func (g *gate) Read(p []byte) (int, error) {
	if err := g.wait(); err != nil {
		return 0, err
	}
	return g.Conn.Read(p)
}

// wait sets a new deadline if it had to wait: the library sets one after each frame that it has read.
func (g *gate) wait() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.waiting <= maxWaiting || g.always {
		return nil
	}
	for g.waiting > maxWaiting && !g.always {
		g.less.Wait()
	}
	deadline := silence
	if g.always {
		deadline = closeTimeout
	}
	return g.SetReadDeadline(time.Now().Add(deadline))
}

func (g *gate) add(bytes int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting += bytes
	g.less.Signal()
}

// open lets everything through from now on.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.always = true
	g.less.Broadcast()
}
