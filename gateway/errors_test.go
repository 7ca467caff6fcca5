package main

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestRejectedRequests: a service's HTTP server that rejects a request as too long or too slow says nothing of use, but whose
// fault it is.
func TestRejectedRequests(t *testing.T) {
	status := 0
	rejects := func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", status) }
	gateway := start(t, soon, fakes{"metadata": rejects, "history": rejects, "video-streaming": rejects})
	viewer := cookie(strings.Repeat("v", 32))
	for _, c := range []struct {
		from, to int
	}{{408, 408}, {413, 413}, {414, 414}, {431, 431}, {401, 502}, {500, 502}} {
		status = c.from
		for _, ask := range []string{
			"GET /api/poster?id=x", "GET /api/captions?id=x&language=ko", "POST /video/captions/remove id=x&language=ko",
			"POST /video/rename id=x&name=x", "POST /history/clear", "PATCH /api/video?id=x {}",
		} {
			method, path, _ := strings.Cut(ask, " ")
			path, body, _ := strings.Cut(path, " ")
			res, answer := do(t, request(t, method, gateway+path, strings.NewReader(body), "Cookie", viewer,
				"Content-Type", "application/x-www-form-urlencoded"))
			isJSON := strings.HasPrefix(answer, `{"error":`)
			if res.StatusCode != c.to || isJSON != strings.HasPrefix(path, "/api/") || res.Header.Get("Cache-Control") == "private, max-age=3600" {
				t.Errorf("%s: %s after %d: %.200s", ask, res.Status, c.from, answer)
			}
		}
	}
}

func TestErrorPages(t *testing.T) {
	asked := func(_ http.ResponseWriter, r *http.Request) { t.Errorf("asked for %s", r.URL) }
	gateway := start(t, time.Second, fakes{"metadata": asked, "recommendations": asked, "history": asked})
	for _, path := range []string{"/wp-login.php", "/assets/x/none.js"} {
		if body := page(t, gateway+path, 404); !strings.Contains(body, "There is no such page.") {
			t.Errorf("%s: %s", path, body)
		}
	}
	if res, body := do(t, request(t, "GET", gateway+"/api/none", nil)); res.StatusCode != 404 || body != `{"error":"Not Found","code":"not_found"}`+"\n" {
		t.Errorf("/api/none: %s %s", res.Status, body)
	}
	if res, body := do(t, request(t, "DELETE", gateway+"/video", nil)); res.StatusCode != 405 || !strings.Contains(body, "</html>") {
		t.Errorf("DELETE /video: %s %s", res.Status, body)
	}
}
