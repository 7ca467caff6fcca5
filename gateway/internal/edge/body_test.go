package edge

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/process"
)

// TestDrainEnds: a client that sends the rest of an upload byte by byte after the answer does not hold its connection.
func TestDrainEnds(t *testing.T) {
	const drain = 300 * time.Millisecond
	address := chassistest.Start(t, func(ctx context.Context, getenv func(string) string, _ io.Writer) error {
		e := echo.New()
		e.POST("/", func(c echo.Context) error { return c.NoContent(http.StatusConflict) }, LongBody, func(next echo.HandlerFunc) echo.HandlerFunc {
			return answerWhileSending(next, drain)
		})
		return process.Service{Addr: process.NewEnv(getenv).Addr(), Handler: e, Log: slog.New(slog.DiscardHandler)}.Run(ctx)
	}, nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
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
