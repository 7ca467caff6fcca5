package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/process"
	"flixtube/contracts/limits"
)

// startInFrontOf runs the gateway as main does, in front of one service that plays all and has the limits of our services.
func startInFrontOf(t *testing.T, service http.HandlerFunc) (address string) {
	t.Helper()
	inner := chassistest.Start(t, func(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
		return process.Service{Addr: process.NewEnv(getenv).Addr(), Handler: service, Log: process.NewLogger(stdout, 0)}.Run(ctx)
	}, nil)
	vars := map[string]string{"RATE_LIMIT": "1000000", "VIEWER_KEY": testKey}
	for _, name := range []string{"METADATA", "HISTORY", "RECOMMENDATIONS", "VIDEO_STREAMING", "VIDEO_UPLOAD"} {
		vars[name+"_URL"] = inner
	}
	return chassistest.Start(t, run, vars)
}

// TestLongValues: a request that is too long, in any place, is the caller's fault, on every route.
func TestLongValues(t *testing.T) {
	gateway := startInFrontOf(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Connection", "close") // the first request of a connection has the strictest limit
		for _, values := range r.URL.Query() {
			if len(values[0]) > limits.ID {
				t.Errorf("%s %.50s is asked with %d bytes", r.Method, r.URL, len(values[0]))
			}
		}
		if strings.HasPrefix(r.URL.Path, "/upload") {
			w.Header().Set("Location", "/uploads/new")
			w.WriteHeader(http.StatusCreated)
			return
		}
		switch r.URL.Path {
		case "/poster":
			w.Header().Set("Content-Type", "image/jpeg")
		case "/captions":
			w.Header().Set("Content-Type", "text/vtt; charset=utf-8")
		}
		answer(w, object{"video": object{}, "videos": []object{}, "history": []object{}, "positions": []object{}, "recommendations": []object{}})
	})
	for _, size := range []int{limits.ID + 1, 5_000, 30_000, 33_000, 36_000, 36_400, 36_600, 36_650, 36_700, 36_750, 36_800, 60_000, 400_000} {
		long := strings.Repeat("x", size)
		form := url.Values{"id": {long}, "name": {"A title"}}.Encode()
		captions := url.Values{"id": {"x"}, "language": {long}}.Encode()
		part, multipartType := formWith(t, long+".mp4", []byte("film"))
		typed := strings.Replace(string(part), "Content-Type: ", "Content-Type: "+long, 1)
		const formType = "application/x-www-form-urlencoded"
		for _, c := range []struct {
			method, path, body string
			valid              bool // for a length that headers may have
			header             []string
		}{
			{"GET", "/api/video?id=" + long, "", false, nil},
			{"HEAD", "/api/video?id=" + long, "", false, nil},
			{"PATCH", "/api/video?id=" + long, `{"name":"A title"}`, false, nil},
			{"GET", "/api/poster?id=" + long, "", false, nil},
			{"POST", "/api/position?video=" + long, `{"position":1,"duration":2}`, false, nil},
			{"GET", "/api/video", "", false, nil},
			{"GET", "/api/video?id=%ff", "", false, nil},
			{"POST", "/video/rename", form, false, []string{"Content-Type", formType}},
			{"POST", "/video/remove", form, false, []string{"Content-Type", formType}},
			{"POST", "/history/remove", form, false, []string{"Content-Type", formType}},
			{"POST", "/video/captions/remove", captions, false, []string{"Content-Type", formType}},
			{"GET", "/api/captions?id=x&language=" + long, "", false, nil},
			{"GET", "/video?id=" + long, "", false, nil},
			{"GET", "/?q=" + long, "", false, nil},
			{"HEAD", "/api/uploads/" + long, "", false, nil},
			{"POST", "/upload", string(part), size <= limits.FileName, []string{"Content-Type", multipartType}},
			{"POST", "/upload", typed, false, []string{"Content-Type", multipartType}},
			{"GET", "/api/video?id=x&view=" + long, "", true, nil},
			{"GET", "/api/poster?id=x&view=" + long, "", true, nil},
			{"POST", "/api/position?video=x&view=" + long, `{"position":1,"duration":2}`, true, []string{"Cookie", cookie(strings.Repeat("v", 32))}},
			{"GET", "/api/video?id=x", "", true, []string{"Range", "bytes=" + long}},
			{"GET", "/api/video?id=x", "", true, []string{"If-None-Match", long}},
			{"GET", "/api/poster?id=x", "", true, []string{"If-None-Match", long}},
			{"GET", "/api/poster?id=x", "", true, []string{"If-Modified-Since", long}},
			{"GET", "/api/captions?id=x&language=ko", "", true, []string{"If-None-Match", long}},
			{"POST", "/api/upload", "film", true, []string{"File-Name", long}},
			{"POST", "/api/uploads", "", true, []string{"Upload-Metadata", long}},
			{"GET", "/", "", true, []string{"Cookie", "viewer=" + long}},
		} {
			what := fmt.Sprintf("%s %.40s %.20q with %d bytes", c.method, c.path, c.header, size)
			res, err := sendRaw(t, gateway, c.method, c.path, c.body, c.header...)
			switch {
			case err != nil:
				t.Errorf("%s: %v", what, err)
			case res >= 500, !c.valid && res < 400, c.valid && res >= 400 && res != http.StatusRequestHeaderFieldsTooLarge,
				c.valid && size <= 30_000 && res >= 400:
				t.Errorf("%s: %d", what, res)
			}
		}
	}
}

// sendRaw returns the status of the answer, which may come while the request is still being sent.
func sendRaw(t *testing.T, gateway, method, path, body string, header ...string) (int, error) {
	t.Helper()
	conn, r := dial(t, gateway)
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(soon))
	request := method + " " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
	if method != http.MethodGet && method != http.MethodHead {
		request += "Content-Length: " + strconv.Itoa(len(body)) + "\r\n"
	}
	for i := 0; i < len(header); i += 2 {
		request += header[i] + ": " + header[i+1] + "\r\n"
	}
	go func() { _, _ = io.WriteString(conn, request+"\r\n"+body) }()
	res, err := finalResponse(r, method)
	if res == nil {
		return 0, err
	}
	return res.StatusCode, nil
}
