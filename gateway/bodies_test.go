package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/errgroup"

	"flixtube/chassis/chassistest"
)

// startLogged runs the gateway as main does, in front of one service that plays all, and keeps its log.
func startLogged(t *testing.T, service http.HandlerFunc, vars ...string) (address string, log *chassistest.Buffer) {
	t.Helper()
	upstream := httptest.NewServer(service)
	t.Cleanup(upstream.Close)
	env := map[string]string{"RATE_LIMIT": "1000000", "VIEWER_KEY": testKey}
	for _, name := range []string{"METADATA", "HISTORY", "RECOMMENDATIONS", "VIDEO_STREAMING", "VIDEO_UPLOAD"} {
		env[name+"_URL"] = upstream.URL
	}
	for i := 0; i < len(vars); i += 2 {
		env[vars[i]] = vars[i+1]
	}
	log = &chassistest.Buffer{}
	return chassistest.Start(t, func(ctx context.Context, getenv func(string) string, _ io.Writer) error {
		return run(ctx, getenv, log)
	}, env), log
}

// TestExpectWithoutAForm: a client that waits for 100 (Continue) and sends no form gets an error, and does not take the
// connection down with a panic.
func TestExpectWithoutAForm(t *testing.T) {
	gateway, log := startLogged(t, answers(object{}))
	for _, path := range []string{"/language", "/video/rename", "/video/remove", "/history/remove"} {
		for _, contentType := range []string{"application/json", "text/plain", "multipart/form-data", "a/b; ="} {
			conn, r := dial(t, gateway)
			_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody", path, contentType)
			res, err := finalResponse(r, http.MethodPost)
			if err != nil || res.StatusCode != http.StatusBadRequest && res.StatusCode != http.StatusUnsupportedMediaType {
				t.Errorf("%s %s: %v, %v", path, contentType, res, err)
			}
			conn.Close()
		}
	}
	if strings.Contains(log.String(), "panic") {
		t.Error(log.String())
	}
}

// finalResponse reads a whole response, after the informational ones.
func finalResponse(r *bufio.Reader, method string) (*http.Response, error) {
	for {
		res, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			return nil, err
		}
		_, err = io.Copy(io.Discard, res.Body)
		if res.StatusCode >= 200 || err != nil {
			return res, err
		}
	}
}

// TestHostileBodies sends all combinations of methods, framings and expectations to all routes, with the types in turn, each
// with a second request behind it. Every request has one answer, and no answer without a request.
func TestHostileBodies(t *testing.T) {
	expectations := []string{"", "Expect: 100-continue\r\n", "Expect: else\r\n"}
	framings := []string{
		"\r\n",
		"Content-Length: 5\r\n\r\nfive!",
		"Transfer-Encoding: chunked\r\n\r\n5\r\nfive!\r\n0\r\n\r\n",
		"Transfer-Encoding: chunked\r\n\r\nnone\r\n",
		"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"Content-Length: 5\r\nContent-Length: 6\r\n\r\nfive!",
		"Content-Length: 500000\r\n\r\nfive!",
	}
	types := []string{"", "application/x-www-form-urlencoded", "application/json", "multipart/form-data", "multipart/form-data; boundary=five"}
	services := map[string]http.HandlerFunc{
		"answer early": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") },
		"read first": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(w, "{}")
		},
	}
	for name, service := range services {
		t.Run(name, func(t *testing.T) {
			// A connection that is closed behind a body lingers: so many at once are more than one address may have.
			gateway, log := startLogged(t, service, "TRUSTED_PROXIES", "127.0.0.1")
			var senders errgroup.Group
			senders.SetLimit(8)
			for _, path := range paths() {
				for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
					for _, contentType := range types {
						for _, expect := range expectations {
							for _, framing := range framings {
								request := method + " " + path + " HTTP/1.1\r\nHost: x\r\nContent-Type: " + contentType + "\r\n" + expect + framing
								senders.Go(func() error { return sendTwo(gateway, method, request) })
							}
						}
					}
				}
			}
			if err := senders.Wait(); err != nil {
				t.Error(err)
			}
			if strings.Contains(log.String(), "panic") {
				t.Error(log.String())
			}
		})
	}
}

// paths are those of all routes.
func paths() []string {
	e := echo.New()
	gateway{}.routes(e)
	var paths []string
	for _, route := range e.Routes() {
		paths = append(paths, strings.NewReplacer(":id", "id", ":version", "v", ":name", "flixtube.css").Replace(route.Path))
	}
	slices.Sort(paths)
	return append(slices.Compact(paths), "/nope")
}

// sendTwo sends a request and another one behind it. It returns an error if the answers are not those of these requests.
func sendTwo(gateway, method, request string) error {
	conn, err := net.Dial("tcp", strings.TrimPrefix(gateway, "http://"))
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(soon))
	_, _ = io.WriteString(conn, request+"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") // it may be closed already
	_ = conn.(*net.TCPConn).CloseWrite()
	r := bufio.NewReader(conn)
	first, err := finalResponse(r, method)
	if err != nil {
		return fmt.Errorf("%q: %w", request, err)
	}
	if first.StatusCode >= http.StatusInternalServerError && first.StatusCode != http.StatusBadGateway {
		return fmt.Errorf("%q: %s", request, first.Status)
	}
	if first.Close {
		if rest, _ := io.ReadAll(r); bytes.Contains(rest, []byte("HTTP/1.1")) {
			return fmt.Errorf("%q: another answer came after the last: %s", request, rest)
		}
		return nil
	}
	if _, err := r.Peek(1); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return nil // the first request was the last
	}
	second, err := finalResponse(r, http.MethodGet)
	if err != nil || second.StatusCode != http.StatusOK && second.StatusCode != http.StatusBadRequest {
		return fmt.Errorf("behind %q: %v, %w", request, second, err)
	}
	if rest, _ := io.ReadAll(r); len(rest) > 0 {
		return fmt.Errorf("behind %q is a third answer: %s", request, rest)
	}
	return nil
}
