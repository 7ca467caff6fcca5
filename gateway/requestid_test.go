package main

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/process"
	"flixtube/chassis/requestid"
)

// TestRequestID follows one id of each request to the services, into the log, the answer and the error page.
func TestRequestID(t *testing.T) {
	var mu sync.Mutex
	var received []string
	receives := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		mu.Lock()
		received = append(received, r.Header.Values(requestid.Header)...)
		mu.Unlock()
		w.Header().Set(requestid.Header, r.Header.Get(requestid.Header)) // as web.NewEcho does
		w.WriteHeader(http.StatusInternalServerError)
	}
	var logged chassistest.Buffer
	gateway := startWith(t, soon, 1000, process.NewLogger(&logged, 0), fakes{
		"metadata": receives, "history": receives, "recommendations": receives, "video-streaming": receives, "video-upload": receives,
	})
	seen := map[string]bool{}
	for _, c := range []struct {
		ask   string
		asked int // services
		shown bool
		log   string
	}{
		{"GET /", 3, false, "page without a part"},
		{"GET /video?id=x", 4, false, "page without a part"},
		{"POST /video/rename id=x", 1, true, "request failed"},
		{"POST /history/clear", 1, true, "request failed"},
		{"GET /?skip=-1", 0, true, ""},
		{"GET /none", 0, true, ""},
		{"GET /api/none", 0, false, ""},
		{"GET /api/video?id=x", 1, false, ""},
		{"GET /api/poster?id=x", 1, false, `[^"]*proxied request`},
		{"PATCH /api/uploads/a", 1, false, ""},
	} {
		mu.Lock()
		received = nil
		mu.Unlock()
		before := len(logged.String())
		method, path, _ := strings.Cut(c.ask, " ")
		path, form, _ := strings.Cut(path, " ")
		res, body := do(t, request(t, method, gateway+path, strings.NewReader(form), requestid.Header, "chosen",
			"Content-Type", "application/x-www-form-urlencoded", "Cookie", cookie(strings.Repeat("v", 32))))
		ids := res.Header.Values(requestid.Header)
		if len(ids) != 1 || ids[0] == "chosen" || seen[ids[0]] {
			t.Fatalf("%s: the answer has the ids %q", c.ask, ids)
		}
		id := ids[0]
		seen[id] = true
		if len(received) < c.asked || len(received) > c.asked && c.asked == 0 {
			t.Errorf("%s: %d services got an id, want %d", c.ask, len(received), c.asked)
		}
		for _, got := range received {
			if got != id {
				t.Errorf("%s: a service got the id %q instead of %q", c.ask, got, id)
			}
		}
		if shown := strings.Contains(body, `<p class="request-id">Request id `+id+`</p>`); shown != c.shown {
			t.Errorf("%s: the id is shown: %t\n%s", c.ask, shown, body)
		}
		if c.log == "" {
			continue
		}
		line := regexp.MustCompile(`msg="` + c.log + `[^\n]*request=` + id)
		if err := chassistest.Poll(soon, func() error {
			if !line.MatchString(logged.String()[before:]) {
				return fmt.Errorf("no such line in the log: %s", line)
			}
			return nil
		}); err != nil {
			t.Errorf("%s: %v\n%s", c.ask, err, logged.String()[before:])
		}
	}
	_, body := do(t, request(t, "GET", gateway+"/none", nil, "Cookie", "lang=ko"))
	if !strings.Contains(body, `<p class="request-id">요청 ID `) {
		t.Errorf("the id is not shown in Korean:\n%s", body)
	}
}
