package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestPoster(t *testing.T) {
	status, contentType, etag := 200, "image/jpeg", `"1"`
	var asked string
	gateway := start(t, time.Second, fakes{"video-streaming": func(w http.ResponseWriter, r *http.Request) {
		asked = r.Method + " " + r.URL.String()
		if r.Header.Get("Range") != "" || r.Header.Get("Cookie") != "" {
			t.Errorf("forwarded are %v", r.Header)
		}
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("ETag", etag)
		w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
		if r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "<b>picture")
	}})
	ask := func(method, query string, header ...string) (*http.Response, string) {
		return do(t, request(t, method, gateway+"/api/poster?"+query, nil, header...))
	}
	res, body := ask("GET", "id=a%26b&x=y", "Range", "bytes=0-1")
	if res.StatusCode != 200 || body != "<b>picture" || asked != "GET /poster?id=a%26b" || res.Header.Get("ETag") != etag ||
		res.Header.Get("Last-Modified") == "" || res.Header.Get("Cache-Control") != "private, max-age=3600" {
		t.Errorf("%s %v %s, asked %s", res.Status, res.Header, body, asked)
	}
	if res, _ := ask("GET", "id=a", "If-None-Match", etag); res.StatusCode != 304 || res.Header.Get("ETag") != etag ||
		res.Header.Get("Cache-Control") != "private, max-age=3600" {
		t.Errorf("unchanged: %s %v", res.Status, res.Header)
	}
	if res, body := ask("HEAD", "id=a"); res.StatusCode != 200 || body != "" || asked != "HEAD /poster?id=a" {
		t.Errorf("HEAD: %s %s, asked %s", res.Status, body, asked)
	}
	for _, c := range []struct {
		status      int
		contentType string
		want        int
	}{
		{200, "text/html", 502},
		{200, "image/svg+xml", 502},
		{200, "", 502},
		{206, "image/jpeg", 502},
		{302, "image/jpeg", 502},
		{500, "application/json", 502},
		{404, "text/html", 404},
		{400, "application/json", 404},
	} {
		status, contentType = c.status, c.contentType
		res, body := ask("GET", "id=a")
		if res.StatusCode != c.want || !strings.HasPrefix(body, `{"error":`) || res.Header.Get("Content-Type") != "application/json" ||
			strings.Contains(res.Header.Get("Cache-Control"), "max-age") {
			t.Errorf("%v: %s %v %s", c, res.Status, res.Header, body)
		}
	}
}
