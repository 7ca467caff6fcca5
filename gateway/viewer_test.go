package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/web"
)

func TestViewer(t *testing.T) {
	var forwarded http.Header
	gateway := start(t, time.Second, fakes{"video-streaming": func(_ http.ResponseWriter, r *http.Request) {
		forwarded = r.Header
	}})
	ask := func(header ...string) (set *http.Cookie, seen string) {
		t.Helper()
		res, _ := do(t, request(t, "GET", gateway+"/api/video?id=x", nil, header...))
		if len(forwarded.Values("Cookie")) > 0 {
			t.Errorf("the cookie is forwarded: %q", forwarded.Values("Cookie"))
		}
		if ids := forwarded.Values(web.ViewerHeader); len(ids) != 1 {
			t.Fatalf("forwarded is %s: %q", web.ViewerHeader, ids)
		}
		if cookies := res.Cookies(); len(cookies) > 0 {
			set = cookies[0]
		}
		return set, forwarded.Get(web.ViewerHeader)
	}

	first, seen := ask(web.ViewerHeader, "victim", "Connection", web.ViewerHeader)
	if first == nil || seen != first.Value || !regexp.MustCompile(`^[A-Za-z0-9_-]{32}$`).MatchString(seen) {
		t.Fatalf("a new viewer is %q with the cookie %v", seen, first)
	}
	if first.Name != "viewer" || !first.HttpOnly || first.SameSite != http.SameSiteLaxMode || first.Path != "/" ||
		first.Secure || first.MaxAge < 300*24*3600 {
		t.Errorf("the cookie is %v", first)
	}
	if _, other := ask(); other == seen {
		t.Error("two viewers get the same id")
	}
	if res, _ := do(t, request(t, "GET", gateway+"/upload", nil, "Cookie", "viewer="+seen)); len(res.Cookies()) != 1 ||
		res.Cookies()[0].Value != seen || res.Cookies()[0].MaxAge != first.MaxAge {
		t.Errorf("a page does not keep the cookie alive: %v", res.Cookies())
	}
	if set, again := ask("Cookie", "a=b; viewer="+seen, web.ViewerHeader, "victim"); set != nil || again != seen {
		t.Errorf("the known viewer %q became %q, cookie %v", seen, again, set)
	}
	for _, bad := range []string{"viewer=", "viewer=short", "viewer=" + seen + "x", "viewer=../../../../../../etc/passwd/////", "viewer=\"" + strings.Repeat("?", 32) + "\""} {
		if set, id := ask("Cookie", bad); set == nil || set.Value != id || id == seen {
			t.Errorf("%s is taken as %q, cookie %v", bad, id, set)
		}
	}
}

func TestCookieIsSecureUnderTLS(t *testing.T) {
	u := &url.URL{Scheme: "http", Host: "127.0.0.1:1"}
	for name, c := range map[string]struct {
		address string
		secure  bool
		want    bool
	}{"http": {"http://x/upload", false, false}, "https": {"https://x/upload", false, true}, "behind a proxy": {"http://x/upload", true, true}} {
		cfg := config{metadata: u, history: u, recommendations: u, streams: u, upload: u, secureCookie: c.secure}
		w := httptest.NewRecorder()
		handler, err := newHandler(cfg, time.Second, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		handler.ServeHTTP(w, httptest.NewRequest("GET", c.address, nil))
		if cookie := w.Result().Cookies()[0]; cookie.Secure != c.want {
			t.Errorf("%s: %v", name, cookie)
		}
	}
}
