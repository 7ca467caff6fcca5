package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
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

// TestLateBodyIsNoRequest: the bytes of a body that come after a pause are not taken for a request. A body that is no upload is
// waited for no longer than the pause.
func TestLateBodyIsNoRequest(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes as long as a body may take")
	}
	t.Parallel()
	gateway := chassistest.Start(t, run, map[string]string{"VIEWER_KEY": testKey})
	type attack struct {
		head string
		want string // status
		long bool   // an upload may take longer than the pause
		conn net.Conn
		r    *bufio.Reader
	}
	var attacks []attack
	waited := map[string]string{
		"POST /language": "408", "POST /video/rename": "408", "POST /history/remove": "408", "PATCH /api/video?id=x": "408",
	}
	for _, ask := range []string{
		"POST /nope", "POST /language", "POST /video/rename", "POST /history/remove", "POST /api/upload", "POST /api/uploads",
		"PATCH /api/video?id=x", "GET /api/video?id=x", "POST /api/position?video=x",
	} {
		for _, framing := range []string{fmt.Sprintf("Content-Length: %d", len(smuggled)), "Transfer-Encoding: chunked"} {
			head := ask + " HTTP/1.1\r\nHost: x\r\nCookie: " + cookie(strings.Repeat("v", 32)) +
				"\r\nContent-Type: application/x-www-form-urlencoded\r\n" + framing + "\r\n\r\n"
			conn, r := dial(t, gateway)
			_, _ = io.WriteString(conn, head)
			attacks = append(attacks, attack{head, waited[ask], strings.HasPrefix(ask, "POST /api/upload"), conn, r})
		}
	}
	<-time.After(pause) // the attack itself
	for _, a := range attacks {
		if !a.long {
			_ = a.conn.SetReadDeadline(time.Now().Add(time.Second)) // for a busy machine
			start, err := a.r.Peek(len("HTTP/1.1 408"))
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("after %q there is neither an answer nor an end", a.head)
			}
			if a.want != "" && !strings.HasSuffix(string(start), a.want) {
				t.Errorf("after %q: %q", a.head, start)
			}
		}
		_, _ = io.WriteString(a.conn, smuggled) // it may be closed already
		_ = a.conn.SetReadDeadline(time.Now().Add(soon))
		answer, err := io.ReadAll(a.r)
		if strings.Count(string(answer), "HTTP/1.1") > 1 || strings.Contains(string(answer), "alive") {
			t.Errorf("after %q the late bytes were a request: %s", a.head, answer)
		}
		if !a.long && errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after %q the connection is still open", a.head)
		}
	}
}
