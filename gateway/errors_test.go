package main

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

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
