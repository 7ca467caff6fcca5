package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
)

// TestTooMany uses up a viewer's requests: pages are still answered, and so is another viewer.
func TestTooMany(t *testing.T) {
	ok := func(http.ResponseWriter, *http.Request) {}
	gateway := startWith(t, soon, 10, slog.New(slog.DiscardHandler), fakes{"video-streaming": ok, "video-upload": ok, "history": ok})
	ann, bob := cookie(strings.Repeat("a", 32)), cookie(strings.Repeat("b", 32))
	ask := func(method, path, viewer string) *http.Response {
		res, body := do(t, request(t, method, gateway+path, nil, "Cookie", viewer))
		if res.StatusCode == 429 && strings.HasPrefix(path, "/api/") != strings.HasPrefix(body, `{"error":"too many`) {
			t.Errorf("%s %s answers %s", method, path, body)
		}
		return res
	}
	rejected := 0
	for range 300 { // more than the burst and what comes back meanwhile
		if res := ask("GET", "/api/video?id=x", ann); res.StatusCode == 429 && res.Header.Get("Retry-After") == "1" {
			rejected++
		}
		if rejected == 3 {
			break
		}
	}
	if rejected == 0 {
		t.Fatal("nothing is rejected")
	}
	for _, path := range []string{"/api/upload", "/upload", "/api/uploads"} {
		if res := ask("POST", path, ann); res.StatusCode != 429 || res.Header.Get("Retry-After") == "" {
			t.Errorf("POST %s: %s", path, res.Status)
		}
	}
	if res := ask("GET", "/history", ann); res.StatusCode != 200 {
		t.Errorf("a page: %s", res.Status)
	}
	if res := ask("GET", "/api/video?id=x", bob); res.StatusCode != 200 {
		t.Errorf("another viewer: %s", res.Status)
	}
}

// TestFreshCookies: a client that sends a new cookie with every request is limited by its address.
func TestFreshCookies(t *testing.T) {
	gateway := startWith(t, soon, 1, slog.New(slog.DiscardHandler), fakes{"history": func(http.ResponseWriter, *http.Request) {}})
	for i := range 1000 {
		viewer := cookie(fmt.Sprintf("%032d", i))
		res, _ := do(t, request(t, "POST", gateway+"/api/position?video=x", nil, "Cookie", viewer))
		if res.StatusCode != 429 {
			continue
		}
		if i < 10*10 {
			t.Errorf("%d viewers are too many for one address", i)
		}
		return
	}
	t.Error("nothing is rejected")
}

// TestTooManyReachesTheBrowser: browsers send the whole body first, also of a cheap request.
func TestTooManyReachesTheBrowser(t *testing.T) {
	gateway := startWith(t, soon, 1, slog.New(slog.DiscardHandler), fakes{"history": func(http.ResponseWriter, *http.Request) {}})
	address, viewer := gateway+"/api/position?video=x", cookie(strings.Repeat("v", 32))
	for range 10 {
		_, _ = do(t, request(t, "POST", address, nil, "Cookie", viewer))
	}
	content := make([]byte, 32<<20)
	for range 20 { // some of them may have waited long enough
		if res, body := browser(t, address, "application/json", content, "Cookie", viewer); res.StatusCode == 429 {
			if !strings.HasPrefix(body, `{"error":"too many`) {
				t.Errorf("the answer is %s", body)
			}
			return
		}
	}
	t.Error("nothing is rejected")
}
