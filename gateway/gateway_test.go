package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
	"flixtube/gateway/internal/edge"
)

// soon is the deadline for things that happen at once, on a slow machine too.
const soon = 20 * time.Second

const testKey = "a-key-of-these-tests-of-32-characters"

// cookie is that of a viewer whose id has 32 characters.
func cookie(viewer string) string {
	return "viewer=" + edge.Viewers{Keys: [][]byte{[]byte(testKey)}}.Sign(viewer)
}

// fakes are the handlers of services by name. A service without one is down.
type fakes map[string]http.HandlerFunc

// start runs the gateway in front of these services and returns its address.
func start(t *testing.T, partTimeout time.Duration, running fakes) string {
	t.Helper()
	return startWith(t, partTimeout, 1000, slog.New(slog.DiscardHandler), running)
}

func startWith(t *testing.T, partTimeout time.Duration, rateLimit int64, log *slog.Logger, running fakes) string {
	t.Helper()
	cfg := config{rateLimit: rateLimit, viewerKeys: [][]byte{[]byte(testKey)}}
	for name, address := range map[string]**url.URL{
		"metadata": &cfg.metadata, "history": &cfg.history, "recommendations": &cfg.recommendations,
		"video-streaming": &cfg.streams, "video-upload": &cfg.upload,
	} {
		service := httptest.NewServer(running[name])
		if running[name] == nil {
			service.Close()
		}
		t.Cleanup(service.Close)
		*address, _ = url.Parse(service.URL)
	}
	handler, err := newHandler(cfg, partTimeout, log)
	if err != nil {
		t.Fatal(err)
	}
	gateway := httptest.NewServer(chassistest.Documented(t, handler))
	t.Cleanup(gateway.Close)
	return gateway.URL
}

func request(t *testing.T, method, address string, body io.Reader, header ...string) *http.Request {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*soon)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	return req
}

// do answers with the body read, and follows no redirect.
func do(t *testing.T, req *http.Request) (*http.Response, string) {
	t.Helper()
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func within[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(soon):
		t.Fatalf("%s does not happen", what)
		panic("unreachable")
	}
}

func TestStartsAndStops(t *testing.T) {
	address := chassistest.Start(t, run, map[string]string{"METADATA_URL": "http://127.0.0.1:1", "VIEWER_KEY": testKey})
	res, body := do(t, request(t, "GET", address+"/readyz", nil))
	if res.StatusCode != 200 || !strings.Contains(body, `"metadata":"down"`) || !strings.Contains(body, "video-upload") {
		t.Errorf("readyz without services: %s %s", res.Status, body)
	}
	if res, _ := do(t, request(t, "GET", address+"/upload", nil)); res.StatusCode != 200 {
		t.Errorf("upload page: %s", res.Status)
	}
}

func TestConfig(t *testing.T) {
	_, err := readConfig(chassistest.Env(map[string]string{
		"HISTORY_URL": "history", "COOKIE_SECURE": "perhaps", "RATE_LIMIT": "0", "TRUSTED_PROXIES": "10.0.0.0/8,10.0.0.0/99",
		"SEND_TIMEOUT": "-1", "VIEWER_UNSIGNED_UNTIL": "soon",
	}))
	for _, name := range []string{"PORT", "VIEWER_KEY", "HISTORY_URL", "COOKIE_SECURE", "RATE_LIMIT", "TRUSTED_PROXIES", "SEND_TIMEOUT", "VIEWER_UNSIGNED_UNTIL"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("the error does not name %s: %v", name, err)
		}
	}
}

func TestSecurityHeaders(t *testing.T) {
	gateway := start(t, time.Second, nil)
	for _, path := range []string{"/", "/video?id=x", "/history", "/history/clear", "/upload", "/none", "/api/none"} {
		res, _ := do(t, request(t, "GET", gateway+path, nil))
		if res.Header.Get("Content-Security-Policy") != "default-src 'none'; img-src 'self'; media-src 'self' blob:; "+
			"style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'" ||
			res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header.Get("Referrer-Policy") != "same-origin" {
			t.Errorf("%s: %v", path, res.Header)
		}
		if !strings.HasPrefix(path, "/api") && res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be cached", path)
		}
	}
}

func TestOtherSitesChangeNothing(t *testing.T) {
	touched := func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s %s came through", r.Method, r.URL) }
	gateway := start(t, time.Second, fakes{"metadata": touched, "history": touched, "video-upload": touched})
	for _, ask := range []string{
		"POST /video/rename", "POST /video/remove", "POST /upload", "POST /history/remove", "POST /history/clear", "POST /language",
		"POST /upload/remove", "POST /recovery/make", "POST /recovery/revoke", "POST /recovery/use",
		"POST /api/upload", "POST /api/position", "PATCH /api/video", "POST /api/uploads", "PATCH /api/uploads/a",
		"DELETE /api/uploads/a", "PUT /api/uploads/a/poster",
	} {
		method, path, _ := strings.Cut(ask, " ")
		for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://other.example"}} {
			res, body := do(t, request(t, method, gateway+path, strings.NewReader("id=x"), header...))
			if res.StatusCode != 403 || strings.HasPrefix(path, "/api/") != strings.HasPrefix(body, `{"error"`) {
				t.Errorf("%s with %s: %s %s", ask, header[0], res.Status, body)
			}
		}
	}
}

// TestHungServices: a service that accepts the request and never answers does not hold the browser, which has six
// connections in all.
func TestHungServices(t *testing.T) {
	hung := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		hangs(w, r)
	}
	gateway := start(t, 50*time.Millisecond, fakes{"metadata": hung, "history": hung, "video-streaming": hung})
	for _, ask := range []string{
		"POST /video/rename", "POST /video/remove", "POST /history/remove", "POST /history/clear",
		"POST /recovery/make", "POST /recovery/revoke", "POST /recovery/use",
		"POST /api/position?video=x", "PATCH /api/video?id=x", "GET /api/poster?id=x",
	} {
		method, path, _ := strings.Cut(ask, " ")
		body := "id=x"
		if method == http.MethodPatch {
			body = "{}"
		}
		req := request(t, method, gateway+path, strings.NewReader(body), "Content-Type", "application/x-www-form-urlencoded",
			"Cookie", cookie(strings.Repeat("v", 32)))
		if res, body := do(t, req); res.StatusCode != 502 {
			t.Errorf("%s: %s %s", ask, res.Status, body)
		}
	}
}

type object = map[string]any

// library is a metadata service that has these videos, by id.
func library(ids []string, videos map[string]object) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/video" {
			v, ok := videos[r.FormValue("id")]
			if !ok {
				refuse(w, http.StatusNotFound, codes.VideoNotFound)
				return
			}
			answer(w, object{"video": v})
			return
		}
		list, wanted := []object{}, ids
		if byID, ok := r.URL.Query()["id"]; ok {
			wanted = byID
		}
		for _, id := range wanted {
			if v, ok := videos[id]; ok {
				list = append(list, v)
			}
		}
		answer(w, object{"videos": list})
	}
}

func answer(w io.Writer, v any) { _ = json.NewEncoder(w).Encode(v) }

// refuse answers with an error as the services do.
func refuse(w http.ResponseWriter, status int, code string) {
	web.Errorf(status, code, "a sentence that no viewer sees").Write(w, httptest.NewRequest(http.MethodGet, "/", nil))
}

func answers(v any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { answer(w, v) }
}

// hangs holds every request until the client gives up.
func hangs(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func named(id, name string) object { return object{"_id": id, "name": name} }

func page(t *testing.T, address string, status int, header ...string) string {
	t.Helper()
	res, body := do(t, request(t, "GET", address, nil, header...))
	if res.StatusCode != status || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") ||
		!strings.HasSuffix(strings.TrimSpace(body), "</html>") {
		t.Fatalf("%s: %s %s\n%s", address, res.Status, res.Header.Get("Content-Type"), body)
	}
	return body
}

// links are those of a list: address and text.
func links(t *testing.T, page, list string) []string {
	t.Helper()
	_, rest, ok := strings.Cut(page, `id="`+list+`"`)
	if !ok {
		return nil
	}
	rest, _, _ = strings.Cut(rest, "</section>")
	var found []string
	for _, m := range regexp.MustCompile(`(?s)<a href="(/video[^"]*)">(.*?)</a>`).FindAllStringSubmatch(rest, -1) {
		found = append(found, m[1]+" "+regexp.MustCompile(`<[^>]*>`).ReplaceAllString(m[2], ""))
	}
	return found
}

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

// browser sends everything before it looks at the answer, as browsers do.
func browser(t *testing.T, address, contentType string, body []byte, header ...string) (*http.Response, string) {
	t.Helper()
	req := request(t, "POST", address, bytes.NewReader(body), append(header, "Content-Type", contentType)...)
	conn, err := net.Dial("tcp", req.URL.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * soon))
	if err := req.Write(conn); err != nil {
		t.Fatalf("sending: %v", err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("half an answer: %v", err)
	}
	return res, string(answer)
}

// full are services with which every page has all of its parts.
func full() fakes {
	videos, views, ids := map[string]object{}, object{}, []string{}
	var positions, lines, recommended []object
	for i := range 24 {
		id := fmt.Sprintf("%08d-0000-4000-8000-000000000000", i)
		videos[id] = object{
			"_id": id, "name": "A title of some length, number " + id[:8], "uploadedAt": "2026-05-06T07:08:09Z",
			"duration": 4000 + i, "poster": true,
		}
		views[id] = 1000
		ids = append(ids, id)
		positions = append(positions, object{"videoId": id, "position": 50, "duration": 100})
		recommended = append(recommended, object{"videoId": id})
		lines = append(lines, object{"_id": id, "videoId": id, "viewedAt": time.Date(2026, 5, 1+i/5, 0, 0, 0, 0, time.UTC), "position": 50, "duration": 100})
	}
	return fakes{
		"metadata": library(ids, videos), "recommendations": answers(object{"recommendations": recommended, "known": true, "views": views}),
		"history": answers(object{"positions": positions, "history": lines}),
	}
}

func TestOutline(t *testing.T) {
	gateway := start(t, soon, full())
	heading := regexp.MustCompile(`<h([1-6])`)
	for _, c := range []struct {
		path, want string
		status     int
	}{
		{"/", "1222", 200},
		{"/?q=title", "12", 200},
		{"/?skip=24", "12", 200},
		{"/video?id=00000001-0000-4000-8000-000000000000", "12", 200},
		{"/video?id=none", "12", 404},
		{"/history", "122222", 200},
		{"/history/clear", "1", 200},
		{"/upload", "122", 200},
		{"/none", "1", 404},
	} {
		body, levels := page(t, gateway+c.path, c.status), ""
		for _, m := range heading.FindAllStringSubmatch(body, -1) {
			levels += m[1]
		}
		if levels != c.want {
			t.Errorf("%s has headings of the levels %s, want %s", c.path, levels, c.want)
		}
		for _, landmark := range []string{"<main ", "<header ", `<nav aria-label="Main">`, "<footer ", `role="search"`, `href="#main"`} {
			if strings.Count(body, landmark) != 1 {
				t.Errorf("%s does not have one %s", c.path, landmark)
			}
		}
		if inline := regexp.MustCompile(`<style|\sstyle=|\son[a-z]+="|<script(?:>| [^>]*[^"]>)`).FindString(body); inline != "" {
			t.Errorf("%s has %q within", c.path, inline)
		}
	}
}

// TestFirstPageIsLight fetches all that a browser does to show a full home page, in the language that needs more.
func TestFirstPageIsLight(t *testing.T) {
	gateway := start(t, soon, full())
	body := page(t, gateway+"/", 200, "Cookie", "lang=ko")
	address := regexp.MustCompile(`"(/assets/[0-9a-f]+/)([a-z.]+)"`)
	fetched, folder := map[string]bool{"ko.js": true}, address.FindStringSubmatch(body)[1]
	for _, m := range address.FindAllStringSubmatch(body, -1) {
		fetched[m[2]] = true
	}
	for grown := true; grown; {
		grown = false
		for name := range fetched {
			content, _ := os.ReadFile("internal/site/assets/" + name)
			for _, m := range regexp.MustCompile(`from "\./([a-z]+\.js)"`).FindAllSubmatch(content, -1) {
				grown = grown || !fetched[string(m[1])]
				fetched[string(m[1])] = true
			}
		}
	}
	total := 0
	for _, path := range append(slices.Sorted(maps.Keys(fetched)), "/") {
		if path != "/" {
			path = folder + path
		}
		res, packed := do(t, request(t, "GET", gateway+path, nil, "Accept-Encoding", "gzip", "Cookie", "lang=ko"))
		if res.StatusCode != 200 || res.Header.Get("Content-Encoding") != "gzip" || !strings.Contains(res.Header.Get("Vary"), "Accept-Encoding") {
			t.Errorf("%s: %s %v", path, res.Status, res.Header)
		}
		total += len(packed)
	}
	if total > 60_000 || len(fetched) < 7 {
		t.Errorf("the home page with %d files weighs %d bytes", len(fetched), total)
	}
	t.Logf("%d bytes", total)
	res, part := do(t, request(t, "GET", gateway+folder+"flixtube.css", nil, "Accept-Encoding", "gzip", "Range", "bytes=0-9"))
	if res.StatusCode != 206 || res.Header.Get("Content-Encoding") != "" || len(part) != 10 {
		t.Errorf("a range: %s %v %q", res.Status, res.Header, part)
	}
}

// TestOnlyTheLastAnswerCounts sends as curl does, which asks before it sends much, and hears informational answers before
// the real one.
func TestOnlyTheLastAnswerCounts(t *testing.T) {
	client := http.DefaultTransport.(*http.Transport).Clone()
	client.ExpectContinueTimeout = 2 * soon // it sends nothing before it is told to
	t.Cleanup(client.CloseIdleConnections)
	for name, c := range map[string]struct {
		status int
		early  bool
		hints  bool
	}{"accepted": {status: 201}, "rejected": {status: 415}, "rejected early": {status: 413, early: true}, "hints": {status: 201, hints: true}} {
		t.Run(name, func(t *testing.T) {
			var got int64
			answer := func(w http.ResponseWriter, r *http.Request) {
				if c.hints {
					w.Header().Set("Link", "</other>; rel=preload")
					w.WriteHeader(http.StatusEarlyHints)
				}
				if !c.early {
					got, _ = io.Copy(io.Discard, r.Body)
				}
				w.WriteHeader(c.status)
			}
			gateway := start(t, soon, fakes{"video-upload": answer})
			for _, ask := range []string{"POST /api/upload", "PATCH /api/uploads/a"} {
				method, path, _ := strings.Cut(ask, " ")
				req := request(t, method, gateway+path, bytes.NewReader(make([]byte, 2<<20)), "Expect", "100-continue")
				res, err := client.RoundTrip(req)
				if err != nil {
					t.Fatalf("%s: %v", ask, err)
				}
				res.Body.Close()
				if res.StatusCode != c.status || res.Header.Get("X-Content-Type-Options") != "nosniff" || len(res.Cookies()) != 1 {
					t.Errorf("%s: %s %v", ask, res.Status, res.Header)
				}
				if !c.early && got != 2<<20 {
					t.Errorf("%s: %d bytes arrived", ask, got)
				}
			}
		})
	}
}
