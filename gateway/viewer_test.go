package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/web"
	"flixtube/gateway/internal/edge"
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
	if first == nil || "viewer="+first.Value != cookie(seen) || !regexp.MustCompile(`^[A-Za-z0-9_-]{32}$`).MatchString(seen) {
		t.Fatalf("a new viewer is %q with the cookie %v", seen, first)
	}
	if first.Name != "viewer" || !first.HttpOnly || first.SameSite != http.SameSiteLaxMode || first.Path != "/" ||
		first.Secure || first.MaxAge < 300*24*3600 {
		t.Errorf("the cookie is %v", first)
	}
	if _, other := ask(); other == seen {
		t.Error("two viewers get the same id")
	}
	if res, _ := do(t, request(t, "GET", gateway+"/upload", nil, "Cookie", cookie(seen))); len(res.Cookies()) != 1 ||
		res.Cookies()[0].Value != first.Value || res.Cookies()[0].MaxAge != first.MaxAge {
		t.Errorf("a page does not keep the cookie alive: %v", res.Cookies())
	}
	if set, again := ask("Cookie", "a=b; "+cookie(seen), web.ViewerHeader, "victim"); set != nil || again != seen {
		t.Errorf("the known viewer %q became %q, cookie %v", seen, again, set)
	}
	foreign := edge.Viewers{Keys: [][]byte{[]byte("another key")}}.Sign(seen)
	other := strings.Repeat("o", 32)
	_, signature, _ := strings.Cut(first.Value, ".")
	for _, bad := range []string{
		"viewer=", "viewer=short", "viewer=" + seen, "viewer=" + seen + ".", "viewer=" + foreign, "viewer=" + other + "." + signature,
		"viewer=" + first.Value + "x", "viewer=" + first.Value[:len(first.Value)-1], "viewer=." + signature, "__Host-" + cookie(seen),
		"viewer=../../../../../../etc/passwd/////", "viewer=\"" + strings.Repeat("?", 32) + "\"",
	} {
		if set, id := ask("Cookie", bad); set == nil || "viewer="+set.Value != cookie(id) || id == seen || id == other {
			t.Errorf("%s is taken as %q, cookie %v", bad, id, set)
		}
	}
}

// TestNewViewersStoreNothing: a request without a valid cookie is made by another viewer each time, of whom there is nothing to
// clear and nothing to keep.
func TestNewViewersStoreNothing(t *testing.T) {
	asked := 0
	gateway := start(t, soon, fakes{
		"metadata": library(nil, map[string]object{"x": {}}),
		"history":  func(w http.ResponseWriter, _ *http.Request) { asked++; w.WriteHeader(http.StatusNoContent) },
	})
	viewer := cookie(strings.Repeat("v", 32))
	for ask, status := range map[string]int{"/history/clear": http.StatusSeeOther, "/api/position?video=x": http.StatusNoContent} {
		for header, want := range map[string]int{"": 0, viewer + "x": 0, viewer: 1} {
			asked = 0
			res, body := do(t, request(t, "POST", gateway+ask, strings.NewReader(`{"position":1,"duration":2}`), "Cookie", header))
			if res.StatusCode != status || body != "" || asked != want || (len(res.Cookies()) == 0) != (want == 1 && ask != "/history/clear") {
				t.Errorf("%s with the cookie %q: %s %v %q, history was asked %d times", ask, header, res.Status, res.Header, body, asked)
			}
			if status == http.StatusSeeOther && res.Header.Get("Location") != "/history" {
				t.Errorf("%s with the cookie %q leads to %q", ask, header, res.Header.Get("Location"))
			}
		}
	}
}

// askForUpload returns the cookies that the gateway sets, by name, with a page or an answer of the API.
func askForUpload(t *testing.T, cfg config, address string, header ...string) map[string]*http.Cookie {
	t.Helper()
	u := &url.URL{Scheme: "http", Host: "127.0.0.1:1"}
	cfg.metadata, cfg.history, cfg.recommendations, cfg.streams, cfg.upload, cfg.rateLimit = u, u, u, u, u, 1000
	handler, err := newHandler(cfg, time.Second, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	req := httptest.NewRequest("GET", address, nil)
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, req)
	set := map[string]*http.Cookie{}
	for _, cookie := range w.Result().Cookies() {
		set[cookie.Name] = cookie
	}
	return set
}

func TestCookieIsSecureUnderTLS(t *testing.T) {
	for name, c := range map[string]struct {
		address string
		secure  bool
		want    string
	}{
		"http":           {"http://x/upload", false, "viewer"},
		"https":          {"https://x/upload", false, "__Host-viewer"},
		"behind a proxy": {"http://x/upload", true, "__Host-viewer"},
	} {
		set := askForUpload(t, config{secureCookie: c.secure, viewerKeys: [][]byte{[]byte(testKey)}}, c.address)
		if cookie := set[c.want]; len(set) != 1 || cookie == nil || cookie.Secure != strings.HasPrefix(c.want, "__Host-") || cookie.Path != "/" || cookie.Domain != "" {
			t.Errorf("%s: %v", name, set)
		}
	}
}

// TestViewersOfBefore: an unsigned cookie is replaced once by a signed one for the same viewer, until the date that is set, and
// so is a signed one from the time before HTTPS.
func TestViewersOfBefore(t *testing.T) {
	id := strings.Repeat("v", 32)
	keys := [][]byte{[]byte(testKey)}
	tomorrow, yesterday := time.Now().AddDate(0, 0, 1), time.Now().AddDate(0, 0, -1)
	signed := strings.TrimPrefix(cookie(id), "viewer=")
	for name, c := range map[string]struct {
		until  time.Time
		secure bool
		cookie string
		same   bool // viewer
	}{
		"unsigned":                   {tomorrow, false, "viewer=" + id, true},
		"unsigned, by HTTPS":         {tomorrow, true, "viewer=" + id, true},
		"signed, without the prefix": {tomorrow, true, cookie(id), true},
		"too late":                   {yesterday, false, "viewer=" + id, false},
		"too late, by HTTPS":         {yesterday, true, cookie(id), false},
		"no date":                    {time.Time{}, false, "viewer=" + id, false},
		"unsigned, with the prefix":  {tomorrow, true, "__Host-viewer=" + id, false},
		"foreign":                    {tomorrow, false, "viewer=" + id + ".AAAA", false},
	} {
		cfg := config{secureCookie: c.secure, viewerKeys: keys, unsignedUntil: c.until}
		cookieName := "viewer"
		if c.secure {
			cookieName = "__Host-viewer"
		}
		for _, path := range []string{"/upload", "/api/video?id=x"} {
			set := askForUpload(t, cfg, "http://x"+path, "Cookie", c.cookie)
			if set[cookieName] == nil || (set[cookieName].Value == signed) != c.same {
				t.Errorf("%s, %s: %v", name, path, set)
			}
			if old := set["viewer"]; c.same && c.secure && (old == nil || old.MaxAge >= 0) {
				t.Errorf("%s, %s: the old cookie stays: %v", name, path, set)
			}
		}
		if again := askForUpload(t, cfg, "http://x/api/video?id=x", "Cookie", cookieName+"="+signed); len(again) > 0 {
			t.Errorf("%s: replaced again: %v", name, again)
		}
	}
}

// TestKeys: the first key signs, others are accepted; a key that is too short, missing or given twice is an error.
func TestKeys(t *testing.T) {
	id := strings.Repeat("v", 32)
	older := strings.Repeat("older key", 4)
	cfg := config{viewerKeys: [][]byte{[]byte(testKey), []byte(older)}}
	signed := edge.Viewers{Keys: [][]byte{[]byte(older)}}.Sign(id)
	if set := askForUpload(t, cfg, "http://x/upload", "Cookie", "viewer="+signed); "viewer="+set["viewer"].Value != cookie(id) {
		t.Errorf("a cookie of the older key is replaced by %v", set)
	}

	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(testKey+"\n"+testKey+"2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		key, file string
		want      int
		err       string
	}{
		{testKey, "", 1, ""},
		{testKey + "  \t" + testKey, "", 2, ""},
		{"", file, 2, ""},
		{"", "", 0, "missing environment variables: VIEWER_KEY"},
		{"  ", "", 0, "missing environment variables: VIEWER_KEY"},
		{"short", "", 0, "VIEWER_KEY must have 32 or more characters; openssl rand -hex 32 makes one"},
		{testKey + " short", "", 0, "32 or more characters"},
		{testKey, file, 0, "VIEWER_KEY and VIEWER_KEY_FILE exclude each other"},
		{"", file + "x", 0, "VIEWER_KEY_FILE names a file that cannot be read"},
	} {
		cfg, err := readConfig(chassistest.Env(map[string]string{"PORT": "1", "VIEWER_KEY": c.key, "VIEWER_KEY_FILE": c.file}))
		if c.err == "" && (err != nil || len(cfg.viewerKeys) != c.want || string(cfg.viewerKeys[0]) != testKey) {
			t.Errorf("%q %q: %q, %v", c.key, c.file, cfg.viewerKeys, err)
		}
		if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), testKey)) {
			t.Errorf("%q %q: %v, want %s", c.key, c.file, err, c.err)
		}
	}
}
