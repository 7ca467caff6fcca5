package edge

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/httpclient"
	"flixtube/chassis/process"
	"flixtube/chassis/web"
)

// serve answers with a handler as a service does.
func serve(t *testing.T, handler http.Handler) (address string) {
	t.Helper()
	return chassistest.Start(t, func(ctx context.Context, getenv func(string) string, _ io.Writer) error {
		return process.Service{Addr: process.NewEnv(getenv).Addr(), Handler: handler, Log: slog.New(slog.DiscardHandler)}.Run(ctx)
	}, nil)
}

// TestStalledPatch: a client that stops sending within an upload is told so, by the gateway or by video-upload, whichever
// waits no longer.
func TestStalledPatch(t *testing.T) {
	const short, long = 300 * time.Millisecond, time.Minute
	for name, idle := range map[string]struct{ gateway, upload time.Duration }{"the gateway": {short, long}, "video-upload": {long, short}} {
		t.Run(name, func(t *testing.T) {
			upload, err := url.Parse(serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				process.LongBody(req, idle.upload)
				if _, err := web.ReadBody(w, req, 1<<20); err != nil {
					web.AsError(err).Write(w, req)
				}
			})))
			if err != nil {
				t.Fatal(err)
			}
			e := web.NewEcho(slog.New(slog.DiscardHandler))
			e.Use(AnswerWhileSending)
			e.PATCH("/api/uploads/:id", Proxies{httpclient.NewTransport(), slog.New(slog.DiscardHandler)}.Tus(upload), func(next echo.HandlerFunc) echo.HandlerFunc {
				return longBody(next, idle.gateway)
			})
			conn, err := net.Dial("tcp", strings.TrimPrefix(serve(t, e), "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			_, _ = io.WriteString(conn, "PATCH /api/uploads/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n"+strings.Repeat("x", 4000))
			answer := make([]byte, 1000)
			n, err := conn.Read(answer)
			if err != nil || !strings.HasPrefix(string(answer[:n]), "HTTP/1.1 408 ") || !strings.Contains(string(answer[:n]), `"code":"body_timeout"`) {
				t.Errorf("%v, answered %q", err, answer[:n])
			}
		})
	}
}

// TestDrainEnds: a client that sends the rest of an upload byte by byte after the answer does not hold its connection.
func TestDrainEnds(t *testing.T) {
	const drain = 300 * time.Millisecond
	e := echo.New()
	e.POST("/", func(c echo.Context) error { return c.NoContent(http.StatusConflict) }, LongBody, func(next echo.HandlerFunc) echo.HandlerFunc {
		return answerWhileSending(next, drain)
	})
	conn, err := net.Dial("tcp", strings.TrimPrefix(serve(t, e), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
	tick := time.NewTicker(drain / 3)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); <-tick.C {
		if _, err := io.WriteString(conn, "x"); err != nil {
			return
		}
	}
	t.Error("the connection is still open")
}
