package process

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// serve answers with handler on a port of its own, and returns the address and the listener.
func serve(t *testing.T, handler http.Handler, bounds Connections, times bodyTimes) (string, *listener) {
	t.Helper()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := newListener(tcp, bounds.orDefault())
	server := &http.Server{Handler: guardBodies(handler, times), ConnContext: withConn, ConnState: nextHeader, MaxHeaderBytes: maxHeaderBytes}
	done := make(chan struct{})
	go func() { _ = server.Serve(l); close(done) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return tcp.Addr().String(), l
}

type client struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func dialRaw(t *testing.T, address string) client {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return client{t, c, bufio.NewReader(c)}
}

func (c client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatal(err)
	}
}

func (c client) status() int {
	c.t.Helper()
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// closed fails the test unless the server closes the connection without another byte.
func (c client) closed() {
	c.t.Helper()
	rest, err := io.ReadAll(c.r)
	if len(rest) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Errorf("the connection goes on: %q, %v", rest, err)
	}
}

const smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\nX-Padding: 12345\r\n\r\n"

// TestLateBodyIsNoRequest: the bytes of a body that come after the answer are not taken for a request, however the handler
// treats the body.
func TestLateBodyIsNoRequest(t *testing.T) {
	times := bodyTimes{whole: 200 * time.Millisecond, drain: 50 * time.Millisecond}
	handlers := map[string]http.HandlerFunc{
		"ignores it": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
		"reads it": func(w http.ResponseWriter, req *http.Request) {
			_, _ = io.Copy(io.Discard, req.Body)
			w.WriteHeader(http.StatusNotFound)
		},
		"answers first": func(w http.ResponseWriter, req *http.Request) {
			control := http.NewResponseController(w)
			_ = control.EnableFullDuplex()
			w.WriteHeader(http.StatusNotFound)
			_ = control.Flush()
			_, _ = io.Copy(io.Discard, req.Body)
		},
		"answers first and reads nothing": func(w http.ResponseWriter, _ *http.Request) {
			control := http.NewResponseController(w)
			_ = control.EnableFullDuplex()
			w.WriteHeader(http.StatusNotFound)
			_ = control.Flush()
		},
		"leaves a reader behind": func(w http.ResponseWriter, req *http.Request) {
			LongBody(req, times.whole)
			_ = http.NewResponseController(w).EnableFullDuplex()
			go func() { _, _ = io.Copy(io.Discard, req.Body) }() // as a transport does whose server has answered
			w.WriteHeader(http.StatusNotFound)
		},
	}
	for name, handler := range handlers {
		for _, framing := range []string{"Content-Length: 52", "Transfer-Encoding: chunked", "Content-Length: 52\r\nExpect: 100-continue"} {
			t.Run(name+" "+framing, func(t *testing.T) {
				asked := make(chan string, 10)
				address, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
					asked <- req.URL.Path
					handler(w, req)
				}), Connections{}, times)
				c := dialRaw(t, address)
				c.send("POST /nope HTTP/1.1\r\nHost: x\r\n" + framing + "\r\n\r\n")
				res, err := http.ReadResponse(c.r, nil)
				if err == nil && res.StatusCode == http.StatusContinue {
					res, err = http.ReadResponse(c.r, nil)
				}
				if err != nil || res.StatusCode != http.StatusNotFound {
					t.Fatalf("%v, %v", res, err)
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_, _ = io.WriteString(c, smuggled) // it may be closed already
				c.closed()
				if len(asked) != 1 {
					t.Errorf("%d requests were seen", len(asked))
				}
			})
		}
	}
}

// TestAnswerToASender: a client that still sends gets the answer, also one that has waited for 100 (Continue).
func TestAnswerToASender(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.CopyN(io.Discard, req.Body, 512)
		w.WriteHeader(http.StatusUnsupportedMediaType)
	})
	server, _ := serve(t, handler, Connections{}, defaultBodyTimes)
	transport := &http.Transport{ExpectContinueTimeout: time.Minute}
	defer transport.CloseIdleConnections()
	for _, expect := range []string{"", "100-continue"} {
		var senders errgroup.Group
		for range 10 {
			senders.Go(func() error {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+server, bytes.NewReader(make([]byte, 8<<20)))
				if err != nil {
					return err
				}
				req.Header.Set("Expect", expect)
				res, err := transport.RoundTrip(req)
				if err != nil {
					return err
				}
				if res.StatusCode != http.StatusUnsupportedMediaType {
					err = fmt.Errorf("the status is %d", res.StatusCode)
				}
				return errors.Join(err, res.Body.Close())
			})
		}
		if err := senders.Wait(); err != nil {
			t.Errorf("with Expect %q: %v", expect, err)
		}
	}
}

// TestReadBodiesKeepTheConnection: a body that was sent costs no connection, read or not.
func TestReadBodiesKeepTheConnection(t *testing.T) {
	for _, read := range []bool{true, false} {
		address, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if read {
				_, _ = io.Copy(io.Discard, req.Body)
			}
			w.WriteHeader(http.StatusNoContent)
		}), Connections{}, defaultBodyTimes)
		c := dialRaw(t, address)
		for range 3 {
			c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
			if status := c.status(); status != http.StatusNoContent {
				t.Errorf("read %t: %d", read, status)
			}
		}
	}
}

// noticed is a connection whose read in flight notices each deadline, however short it stands.
type noticed struct{ net.Conn }

func (c noticed) SetReadDeadline(t time.Time) error {
	err := c.Conn.SetReadDeadline(t)
	if !t.IsZero() && time.Until(t) <= 0 {
		<-time.After(20 * time.Millisecond)
	}
	return err
}

type noticedListener struct{ net.Listener }

func (l noticedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return noticed{c}, err
}

// TestNextRequestIsNotCancelled: net/http reads on after the end of a body, to notice when the client is gone. If that read
// met a deadline, each further request on the connection would begin as cancelled.
func TestNextRequestIsNotCancelled(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: guardBodies(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		if req.Context().Err() != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}), defaultBodyTimes)}
	go func() { _ = server.Serve(noticedListener{tcp}) }()
	defer server.Close()
	c := dialRaw(t, tcp.Addr().String())
	for i := range 3 {
		c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
		if status := c.status(); status != http.StatusOK {
			t.Errorf("request %d: %d", i, status)
		}
	}
}

// TestDeadlineEndsWithTheBody: the time for a body is no limit on what the handler does afterwards.
func TestDeadlineEndsWithTheBody(t *testing.T) {
	times := bodyTimes{whole: 50 * time.Millisecond, drain: 50 * time.Millisecond}
	address, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		select {
		case <-req.Context().Done():
			t.Error("the client was taken for gone")
		case <-time.After(4 * times.whole):
		}
		w.WriteHeader(http.StatusNoContent)
	}), Connections{}, times)
	c := dialRaw(t, address)
	for range 2 {
		c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
		if status := c.status(); status != http.StatusNoContent {
			t.Error(status)
		}
	}
}

// TestHalfClosed: a client that closes its side after its request gets the answer, and the handler can work until then.
func TestHalfClosed(t *testing.T) {
	address, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		select {
		case <-req.Context().Done():
			w.WriteHeader(http.StatusServiceUnavailable)
		case <-time.After(100 * time.Millisecond): // in which net/http would cancel it
			_, _ = w.Write(body)
		}
	}), Connections{}, defaultBodyTimes)
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
		"GET /first HTTP/1.1\r\nHost: x\r\n\r\nGET /second HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		c := dialRaw(t, address)
		c.send(request)
		if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		for range strings.Count(request, "HTTP/1.1") {
			if status := c.status(); status != http.StatusOK {
				t.Errorf("%q: %d", request, status)
			}
		}
		c.closed()
	}
	c := dialRaw(t, address)
	c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 400\r\n\r\nbody")
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(c.r)
	if !strings.Contains(string(answer), "unexpected EOF") {
		t.Errorf("half a body: %s", answer)
	}
}

// TestGoneClient: a client that is really gone ends the request, at the first write if not before.
func TestGoneClient(t *testing.T) {
	ended := make(chan struct{})
	address, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var err error
		for chunk := make([]byte, 64<<10); err == nil; {
			_, err = w.Write(chunk)
		}
		<-req.Context().Done()
		close(ended)
	}), Connections{}, defaultBodyTimes)
	c := dialRaw(t, address)
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	_, _ = c.r.ReadByte()
	_ = c.Close()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the request goes on")
	}
}

// TestHalfClosedForLong: a client that has closed its side, and to which nothing is written, is taken for gone in time.
func TestHalfClosedForLong(t *testing.T) {
	const timeout = time.Second
	c, other := pipe(t, timeout)
	if err := other.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	ended := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		ended <- err
	}()
	<-time.After(timeout / 2)
	if _, err := c.Write([]byte("film")); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, io.EOF) || time.Since(began) < timeout*3/2 {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}

// TestBodyDeadlines: a body must arrive within its time, an upload only must go on.
func TestBodyDeadlines(t *testing.T) {
	times := bodyTimes{whole: 2 * time.Second, drain: 50 * time.Millisecond}
	result := make(chan error, 1)
	address, _ := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/upload" {
			LongBody(req, times.whole)
		}
		_, err := io.Copy(io.Discard, req.Body)
		result <- err
	}), Connections{}, times)
	for path, want := range map[string]error{"/form": ErrBodyTimeout, "/upload": nil} {
		c := dialRaw(t, address)
		c.send(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", path, 10*minRate))
		tick := time.NewTicker(times.whole / 4)
		for range 10 { // two and a half times as long as a whole body may take
			<-tick.C
			if _, err := io.WriteString(c, strings.Repeat("x", minRate)); err != nil {
				break
			}
		}
		tick.Stop()
		if err := <-result; !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	c := dialRaw(t, address)
	c.send("POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nx")
	if err := <-result; !errors.Is(err, ErrBodyTimeout) {
		t.Errorf("an upload that stands still: %v", err)
	}
}

func TestConnectionsAreRenewed(t *testing.T) {
	for after, want := range map[time.Duration]int{0: 3, time.Hour: 1} {
		var mu sync.Mutex
		clients := map[string]bool{}
		address, _ := serve(t, renewConnections(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			clients[req.RemoteAddr] = true
		}), after), Connections{}, defaultBodyTimes)
		client := &http.Client{Transport: &http.Transport{}}
		for range 3 {
			res, err := client.Get("http://" + address)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
		}
		client.CloseIdleConnections()
		if len(clients) != want {
			t.Errorf("after %v: three requests by %d connections, want %d", after, len(clients), want)
		}
	}
}

func TestLargeHeaders(t *testing.T) {
	address, _ := serve(t, http.NotFoundHandler(), Connections{}, defaultBodyTimes)
	c := dialRaw(t, address)
	c.send("GET / HTTP/1.1\r\nHost: x\r\nX-Large: " + strings.Repeat("a", 2*maxHeaderBytes))
	if status := c.status(); status != http.StatusRequestHeaderFieldsTooLarge {
		t.Error(status)
	}
}

// TestHeaderMemory: as many connections as there may be by default, with as large headers as there may be, need little more than
// half of the 256 MiB that a service has in production, however the headers are made up.
func TestHeaderMemory(t *testing.T) {
	const connections, most = 50, 144 << 20 / (manyDescriptors / 2) // bytes for each
	asked := make(chan struct{})
	address, _ := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		asked <- struct{}{}
		<-req.Context().Done()
	}), Connections{}, defaultBodyTimes)
	var distinct strings.Builder
	for i := 0; distinct.Len() < maxHeaderBytes; i++ {
		fmt.Fprintf(&distinct, "%x:\r\n", i)
	}
	for name, header := range map[string]string{
		"one field":       "X: " + strings.Repeat("a", maxHeaderBytes) + "\r\n",
		"many fields":     strings.Repeat("X: "+strings.Repeat("a", maxHeaderBytes/maxHeaderLines)+"\r\n", maxHeaderLines-4),
		"the same field":  strings.Repeat("a:\r\n", maxHeaderBytes/4),
		"distinct fields": distinct.String(),
		"strange breaks":  "\r\r\n a: b\r\n" + distinct.String(),
	} {
		t.Run(name, func(t *testing.T) {
			before := heap()
			for range connections {
				c := dialRaw(t, address)
				rejected := make(chan struct{})
				go func() {
					_, _ = c.r.ReadByte()
					close(rejected)
				}()
				c.send("GET / HTTP/1.1\r\nHost: x\r\n" + header + "\r\n")
				select {
				case <-asked:
				case <-rejected:
				}
			}
			if each := (heap() - before) / connections; each > most {
				t.Errorf("a connection takes %d bytes, want %d", each, most)
			}
		})
	}
}

func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func TestHeaderLines(t *testing.T) {
	address, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		w.WriteHeader(http.StatusNoContent)
	}), Connections{}, defaultBodyTimes)
	request := func(lines int, end string) string {
		body := strings.Repeat("\n", 3000) // is no part of the header
		return fmt.Sprintf("POST / HTTP/1.1%[1]sHost: x%[1]sContent-Length: %[2]d%[1]s%[3]s%[1]s%[4]s", end, len(body),
			strings.Repeat("a: b"+end, lines-3), body)
	}
	for _, end := range []string{"\r\n", "\n"} {
		c := dialRaw(t, address)
		for range 3 {
			c.send(request(maxHeaderLines, end))
			if status := c.status(); status != http.StatusNoContent {
				t.Errorf("as many lines as there may be, by %q: %d", end, status)
			}
		}
		c.send(request(maxHeaderLines+1, end))
		if status := c.status(); status != http.StatusBadRequest {
			t.Errorf("one line more, by %q: %d", end, status)
		}
		c.closed()
	}
}

// TestPipelinedBody: the second request begins in the same read as the first, so that its body comes without a header.
func TestPipelinedBody(t *testing.T) {
	address, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if n, err := io.Copy(io.Discard, req.Body); n != req.ContentLength || err != nil {
			t.Errorf("%d of %d bytes: %v", n, req.ContentLength, err)
		}
		w.WriteHeader(http.StatusNoContent)
	}), Connections{}, defaultBodyTimes)
	c := dialRaw(t, address)
	body := strings.Repeat("x\n", 10*maxHeaderLines)
	c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1" +
		fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", len(body)))
	first := c.status()
	c.send(body)
	if second := c.status(); first != http.StatusNoContent || second != http.StatusNoContent {
		t.Errorf("%d and %d", first, second)
	}
}

func TestConnectionBounds(t *testing.T) {
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	ask := func(c client) int {
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		return c.status()
	}
	t.Run("address", func(t *testing.T) {
		address, l := serve(t, ok, Connections{PerAddress: 2}, defaultBodyTimes)
		first, second := dialRaw(t, address), dialRaw(t, address)
		if ask(first) != 204 || ask(second) != 204 {
			t.Error("two connections are not served")
		}
		third := dialRaw(t, address)
		_, _ = io.WriteString(third, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		third.closed()
		first.Close()
		for deadline := time.Now().Add(10 * time.Second); ; { // until the server has noticed
			l.mu.Lock()
			n := l.open[netip.MustParseAddr("127.0.0.1")]
			l.mu.Unlock()
			if n < 2 || time.Now().After(deadline) {
				break
			}
		}
		if ask(dialRaw(t, address)) != 204 {
			t.Error("a connection that was closed still counts")
		}
	})
	t.Run("trusted", func(t *testing.T) {
		address, _ := serve(t, ok, Connections{PerAddress: 1, Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, defaultBodyTimes)
		for range 2 {
			if ask(dialRaw(t, address)) != 204 {
				t.Error("a trusted address is bounded")
			}
		}
	})
	t.Run("default", func(t *testing.T) {
		c := Connections{Total: 8}.orDefault()
		if c.PerAddress != 6 {
			t.Errorf("%d of %d connections may be of one address", c.PerAddress, c.Total)
		}
		address, _ := serve(t, ok, c, defaultBodyTimes)
		for range c.PerAddress {
			if ask(dialRaw(t, address)) != 204 {
				t.Error("a connection within the default is not served")
			}
		}
		further := dialRaw(t, address)
		_, _ = io.WriteString(further, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		further.closed()
	})
	t.Run("total", func(t *testing.T) {
		address, _ := serve(t, ok, Connections{Total: 1}, defaultBodyTimes)
		first := dialRaw(t, address)
		if ask(first) != 204 {
			t.Error("one connection is not served")
		}
		second := dialRaw(t, address)
		second.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		first.Close()
		if status := second.status(); status != 204 {
			t.Errorf("the next connection: %d", status)
		}
	})
}

func TestClientAddr(t *testing.T) {
	for given, want := range map[string]string{
		"192.0.2.7:1": "192.0.2.7", "[::ffff:192.0.2.7]:1": "192.0.2.7", "[2001:db8:1:2:3::4]:1": "2001:db8:1:2::",
		"[fe80::1%lo]:1": "fe80::",
	} {
		if got := Client(address(given)).String(); got != want {
			t.Errorf("%s counts as %s, want %s", given, got, want)
		}
	}
}

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// pipe returns both ends of a TCP connection, the first as a server has it.
func pipe(t *testing.T, timeout time.Duration) (*conn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	bounded := newListener(l, Connections{Total: 1, SendTimeout: timeout}.orDefault())
	defer bounded.Close()
	other, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		other.Close()
		accepted.Close()
	})
	return newConn(accepted.(*net.TCPConn), bounded, timeout, func() {}), other
}

// TestFilesInChunks: files arrive whole, whatever their size in chunks is.
func TestFilesInChunks(t *testing.T) {
	for _, size := range []int{0, 1, writeChunk, 2*writeChunk + 1} {
		content := bytes.Repeat([]byte("film"), size/4+1)[:size]
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, limit := range []int64{int64(size), int64(size) - 1, int64(size) + 10} {
			file, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			c, other := pipe(t, time.Minute)
			go func() {
				_, _ = c.ReadFrom(&io.LimitedReader{R: file, N: limit})
				c.Close()
			}()
			got, err := io.ReadAll(other)
			if want := content[:min(max(limit, 0), int64(size))]; err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes of %d arrive, want %d: %v", len(got), size, len(want), err)
			}
			file.Close()
		}
	}
}

// TestReaderThatStops: a client that reads nothing more loses its connection; one that reads slowly does not.
func TestReaderThatStops(t *testing.T) {
	const timeout = 2 * time.Second
	endless := bytes.Repeat([]byte("film"), 16<<20)
	send := map[string]func(*conn) error{
		"Write":    func(c *conn) error { _, err := c.Write(endless); return err },
		"ReadFrom": func(c *conn) error { _, err := c.ReadFrom(bytes.NewReader(endless)); return err },
	}
	for name, f := range send {
		c, _ := pipe(t, timeout)
		if err := f(c); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s to a client that stops: %v", name, err)
		}
		c, other := pipe(t, timeout)
		go func() {
			chunk := make([]byte, 8<<20)
			for tick := time.NewTicker(timeout / 4); ; <-tick.C { // twice as long as the timeout in all
				if _, err := io.ReadFull(other, chunk); err != nil {
					tick.Stop()
					return
				}
			}
		}()
		if err := f(c); err != nil {
			t.Errorf("%s to a slow client: %v", name, err)
		}
	}
}
