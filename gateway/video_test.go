package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestStream(t *testing.T) {
	content, modified := bytes.Repeat([]byte("0123456789"), 1000), time.Unix(1700000000, 0)
	store := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/video" || r.FormValue("id") != "a/../b" || r.FormValue("view") != "v1" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("ETag", `"tag"`)
		w.Header().Set("Content-Type", "video/mp4")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		http.ServeContent(w, r, "", modified, bytes.NewReader(content))
	}
	upstream := httptest.NewServer(http.HandlerFunc(store))
	defer upstream.Close()
	query := "/video?view=v1&id=" + url.QueryEscape("a/../b")
	gateway := start(t, time.Second, fakes{"video-streaming": store})

	for name, c := range map[string]struct {
		method string
		header []string
		status int
	}{
		"whole":            {"GET", nil, 200},
		"head":             {"HEAD", nil, 200},
		"range":            {"GET", []string{"Range", "bytes=10-19"}, 206},
		"head range":       {"HEAD", []string{"Range", "bytes=10-19"}, 206},
		"suffix":           {"GET", []string{"Range", "bytes=-5"}, 206},
		"outside":          {"GET", []string{"Range", "bytes=99999-"}, 416},
		"several":          {"GET", []string{"Range", "bytes=0-1,5-6"}, 206},
		"if-range":         {"GET", []string{"Range", "bytes=1-2", "If-Range", `"tag"`}, 206},
		"if-range, stale":  {"GET", []string{"Range", "bytes=1-2", "If-Range", `"old"`}, 200},
		"if-none-match":    {"GET", []string{"If-None-Match", `"tag"`}, 304},
		"if-modified":      {"GET", []string{"If-Modified-Since", modified.UTC().Format(http.TimeFormat)}, 304},
		"if-match, failed": {"GET", []string{"If-Match", `"old"`}, 412},
	} {
		want, wantBody := do(t, request(t, c.method, upstream.URL+query, nil, c.header...))
		got, gotBody := do(t, request(t, c.method, gateway+"/api"+query, nil, c.header...))
		if got.Header.Get("Cache-Control") != "private" {
			t.Errorf("%s: shared caches may keep it: %v", name, got.Header)
		}
		if got.StatusCode != c.status || want.StatusCode != c.status {
			t.Errorf("%s: %d, upstream %d, want %d", name, got.StatusCode, want.StatusCode, c.status)
		}
		for _, header := range []string{
			"Content-Length", "Content-Range", "Accept-Ranges", "ETag", "Last-Modified", "X-Content-Type-Options",
		} {
			if g, w := got.Header.Values(header), want.Header.Values(header); header != "X-Content-Type-Options" &&
				strings.Join(g, ",") != strings.Join(w, ",") || len(g) > 1 {
				t.Errorf("%s: %s is %q, upstream %q", name, header, g, w)
			}
		}
		if name != "several" && gotBody != wantBody { // there the boundary differs
			t.Errorf("%s: the body differs", name)
		}
	}
}

func TestStreamIsNotHeld(t *testing.T) {
	gone := make(chan struct{})
	gateway := start(t, time.Second, fakes{"video-streaming": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(1<<20))
		_, _ = w.Write(make([]byte, 64<<10))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(gone)
	}})
	res, err := http.DefaultTransport.RoundTrip(request(t, "GET", gateway+"/api/video?id=x", nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(res.Body, make([]byte, 32<<10)); err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	within(t, "the end upstream, once the viewer is gone,", gone)
}

func TestStreamDown(t *testing.T) {
	res, body := do(t, request(t, "GET", start(t, time.Second, nil)+"/api/video?id=x", nil))
	if res.StatusCode != 502 || !strings.HasPrefix(body, `{"error":`) {
		t.Errorf("%s %s", res.Status, body)
	}
}

// TestEmbeddedElsewhere: a page of another site shows no video of this one, and counts no view.
func TestEmbeddedElsewhere(t *testing.T) {
	asked := 0
	gateway := start(t, time.Second, fakes{"video-streaming": func(http.ResponseWriter, *http.Request) { asked++ }})
	for _, tc := range []struct {
		header []string
		want   int
	}{
		{[]string{"Sec-Fetch-Site", "cross-site"}, 403},
		{[]string{"Sec-Fetch-Site", "cross-site", "Referer", gateway + "/video?id=x"}, 403},
		{[]string{"Sec-Fetch-Site", "same-site"}, 403},
		{[]string{"Sec-Fetch-Site", "same-origin"}, 200},
		{[]string{"Sec-Fetch-Site", "none"}, 200},
		// Browsers that say nothing about the site, because they come by HTTP or are old.
		{nil, 200},
		{[]string{"Referer", gateway + "/video?id=x"}, 200},
		{[]string{"Origin", gateway}, 200},
		{[]string{"Referer", "http://other.example/page"}, 403},
		{[]string{"Referer", "http://other.example/?" + gateway}, 403},
		{[]string{"Origin", "https://other.example"}, 403},
		{[]string{"Origin", "null"}, 403},
		{[]string{"Origin", "https://other.example", "Referer", gateway + "/"}, 403},
	} {
		header, want := tc.header, tc.want
		before := asked
		res, body := do(t, request(t, "GET", gateway+"/api/video?id=x", nil, header...))
		if res.StatusCode != want || (asked > before) != (want == 200) || want == 403 && !strings.Contains(body, `"code":"cross_origin"`) {
			t.Errorf("%q: %s %s, asked %d times", header, res.Status, body, asked-before)
		}
		if policy := res.Header.Get("Cross-Origin-Resource-Policy"); policy != "same-origin" {
			t.Errorf("%q: others may use it: %q", header, policy)
		}
	}
}
