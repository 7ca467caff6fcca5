package main

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestHalfClosed: a client that closes its side of the connection after its request gets the true answer, also when that
// takes a while.
func TestHalfClosed(t *testing.T) {
	gateway, _ := startLogged(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
			return
		case <-time.After(100 * time.Millisecond):
		}
		switch r.URL.Path {
		case "/video":
			w.Header().Set("Content-Type", "video/mp4")
			_, _ = io.WriteString(w, "film")
		case "/upload", "/uploads":
			w.Header().Set("Location", "/uploads/new")
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, "stored")
		default:
			answer(w, object{"videos": []object{named("x", "A title")}, "history": []object{}, "positions": []object{}})
		}
	})
	for _, c := range []struct{ request, status, want string }{
		{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "200", "A title"},
		{"GET /history HTTP/1.1\r\nHost: x\r\n\r\n", "200", "</html>"},
		{"GET /api/video?id=x HTTP/1.1\r\nHost: x\r\n\r\n", "200", "film"},
		{"POST /api/upload HTTP/1.1\r\nHost: x\r\nFile-Name: a.mp4\r\nContent-Length: 4\r\n\r\nfilm", "201", "stored"},
		{"POST /api/uploads HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Length: 4\r\n\r\n", "201", "stored"},
	} {
		conn, r := dial(t, gateway)
		_, _ = io.WriteString(conn, c.request)
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(r)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 "+c.status) || !strings.Contains(string(answer), c.want) ||
			strings.Contains(string(answer), `class="missing"`) {
			t.Errorf("%q: %v %s", c.request, err, answer)
		}
	}
}
