package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/web"
)

// soon bounds what must happen at once, on however slow a machine.
const soon = 20 * time.Second

// services are handlers by the neighbour's name; one that is missing is down.
type services map[string]http.HandlerFunc

// start runs the gateway's handler between these neighbours and returns its address.
func start(t *testing.T, limit time.Duration, running services) string {
	t.Helper()
	return startWith(t, limit, 1000, running)
}

func startWith(t *testing.T, limit time.Duration, rateLimit int64, running services) string {
	t.Helper()
	cfg := config{rateLimit: rateLimit}
	for name, address := range map[string]**url.URL{
		"metadata": &cfg.metadata, "history": &cfg.history, "recommendations": &cfg.recommendations,
		"video-streaming": &cfg.streams, "video-upload": &cfg.upload,
	} {
		neighbour := httptest.NewServer(running[name])
		if running[name] == nil {
			neighbour.Close()
		}
		t.Cleanup(neighbour.Close)
		*address, _ = url.Parse(neighbour.URL)
	}
	gateway := httptest.NewServer(newHandler(cfg, limit, slog.New(slog.DiscardHandler)))
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
	address := chassistest.Start(t, run, map[string]string{"METADATA_URL": "http://127.0.0.1:1"})
	res, body := do(t, request(t, "GET", address+"/readyz", nil))
	if res.StatusCode != 200 || !strings.Contains(body, `"metadata":"down"`) || !strings.Contains(body, "video-upload") {
		t.Errorf("readyz without neighbours: %s %s", res.Status, body)
	}
	if res, _ := do(t, request(t, "GET", address+"/upload", nil)); res.StatusCode != 200 {
		t.Errorf("upload page: %s", res.Status)
	}
}

func TestConfig(t *testing.T) {
	_, err := readConfig(chassistest.Env(map[string]string{"HISTORY_URL": "history", "COOKIE_SECURE": "perhaps", "RATE_LIMIT": "0"}))
	for _, name := range []string{"PORT", "HISTORY_URL", "COOKIE_SECURE", "RATE_LIMIT"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("the error does not name %s: %v", name, err)
		}
	}
}

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
	gateway := start(t, time.Second, services{"video-streaming": store})

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
	gateway := start(t, time.Second, services{"video-streaming": func(w http.ResponseWriter, r *http.Request) {
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

func TestViewer(t *testing.T) {
	var inward http.Header
	gateway := start(t, time.Second, services{"video-streaming": func(_ http.ResponseWriter, r *http.Request) {
		inward = r.Header
	}})
	ask := func(header ...string) (set *http.Cookie, seen string) {
		t.Helper()
		res, _ := do(t, request(t, "GET", gateway+"/api/video?id=x", nil, header...))
		if len(inward.Values("Cookie")) > 0 {
			t.Errorf("the cookie goes inward: %q", inward.Values("Cookie"))
		}
		if ids := inward.Values(web.ViewerHeader); len(ids) != 1 {
			t.Fatalf("inward goes %s: %q", web.ViewerHeader, ids)
		}
		if cookies := res.Cookies(); len(cookies) > 0 {
			set = cookies[0]
		}
		return set, inward.Get(web.ViewerHeader)
	}

	first, seen := ask(web.ViewerHeader, "victim", "Connection", web.ViewerHeader)
	if first == nil || seen != first.Value || !issuedID.MatchString(seen) {
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
		newHandler(cfg, time.Second, slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest("GET", c.address, nil))
		if cookie := w.Result().Cookies()[0]; cookie.Secure != c.want {
			t.Errorf("%s: %v", name, cookie)
		}
	}
}

func TestOtherSitesChangeNothing(t *testing.T) {
	touched := func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s %s came through", r.Method, r.URL) }
	gateway := start(t, time.Second, services{"metadata": touched, "history": touched, "video-upload": touched})
	for _, ask := range []string{
		"POST /video/rename", "POST /video/remove", "POST /upload", "POST /history/remove", "POST /history/clear", "POST /language",
		"POST /api/upload", "POST /api/position", "PATCH /api/video", "POST /api/uploads", "PATCH /api/uploads/a",
		"DELETE /api/uploads/a", "PUT /api/uploads/a/poster",
	} {
		method, path, _ := strings.Cut(ask, " ")
		for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://elsewhere.example"}} {
			res, body := do(t, request(t, method, gateway+path, strings.NewReader("id=x"), header...))
			if res.StatusCode != 403 || strings.HasPrefix(path, "/api/") != strings.HasPrefix(body, `{"error"`) {
				t.Errorf("%s with %s: %s %s", ask, header[0], res.Status, body)
			}
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

func TestAssets(t *testing.T) {
	gateway := start(t, time.Second, nil)
	_, page := do(t, request(t, "GET", gateway+"/upload", nil))
	for _, name := range []string{"flixtube.css", "icon.svg", "facts.js", "upload.js"} {
		address := newAssets().url(name)
		if !strings.Contains(page, `"`+address+`"`) {
			t.Errorf("the page does not ask for %s", address)
		}
		res, _ := do(t, request(t, "GET", gateway+address, nil))
		if res.StatusCode != 200 || !strings.Contains(res.Header.Get("Cache-Control"), "immutable") || len(res.Cookies()) > 0 {
			t.Errorf("%s: %s %v", address, res.Status, res.Header)
		}
		old := gateway + "/assets/older/" + name
		if res, _ := do(t, request(t, "GET", old, nil)); res.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %v", old, res.Header)
		}
		if res, _ := do(t, request(t, "GET", old, nil, "If-None-Match", res.Header.Get("ETag"))); res.StatusCode != 304 {
			t.Errorf("%s, unchanged: %s", old, res.Status)
		}
	}
	for _, path := range []string{"/assets/x/none.js", "/assets/x/..%2fpages%2fhome.html", "/assets/x/"} {
		if res, _ := do(t, request(t, "GET", gateway+path, nil)); res.StatusCode != 404 {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
}

func TestUploadStreams(t *testing.T) {
	arrived := make(chan string, 2)
	gateway := start(t, time.Second, services{"video-upload": func(w http.ResponseWriter, r *http.Request) {
		first := make([]byte, 5)
		_, _ = io.ReadFull(r.Body, first)
		arrived <- r.URL.Path + " " + r.Header.Get("File-Name") + " " + string(first)
		rest, _ := io.ReadAll(r.Body)
		arrived <- string(rest)
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"id":"new"}`)
	}})
	body, client := io.Pipe()
	answer := make(chan int)
	go func() {
		res, _ := do(t, request(t, "POST", gateway+"/api/upload", body, "File-Name", "%ED%95%9C.mp4"))
		answer <- res.StatusCode
	}()
	_, _ = io.WriteString(client, "first")
	if got := within(t, "the arrival of the first bytes", arrived); got != "/upload %ED%95%9C.mp4 first" {
		t.Errorf("first came %q", got)
	}
	_, _ = io.WriteString(client, "second")
	client.Close()
	if got := within(t, "the arrival of the rest", arrived); got != "second" {
		t.Errorf("then came %q", got)
	}
	if status := within(t, "the answer", answer); status != http.StatusCreated {
		t.Errorf("answered %d", status)
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

func TestRefusalReachesTheBrowser(t *testing.T) {
	refuse := func(status int, read int64) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).EnableFullDuplex()
			_, _ = io.CopyN(io.Discard, r.Body, read)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"error":"too <much>"}`)
		}
	}
	content := make([]byte, 32<<20)
	for name, handler := range map[string]http.HandlerFunc{"413": refuse(413, 0), "415": refuse(415, 512)} {
		gateway := start(t, time.Second, services{"video-upload": handler})
		if res, body := browser(t, gateway+"/api/upload", "video/mp4", content); strconv.Itoa(res.StatusCode) != name || body != `{"error":"too <much>"}` {
			t.Errorf("%s: %s %s", name, res.Status, body)
		}
		form, contentType := formWith(t, "a.mp4", content)
		if res, body := browser(t, gateway+"/upload", contentType, form); strconv.Itoa(res.StatusCode) != name || !strings.Contains(body, "Too &lt;much&gt;.") {
			t.Errorf("%s to the form: %s %s", name, res.Status, body)
		}

		body, client := io.Pipe()
		answer := make(chan int)
		go func() {
			res, _ := do(t, request(t, "POST", gateway+"/api/upload", body))
			answer <- res.StatusCode
		}()
		_, _ = client.Write(make([]byte, 1024))
		time.AfterFunc(soon, func() { client.Close() })
		if status := within(t, "the answer to a client that has not sent everything", answer); strconv.Itoa(status) != name {
			t.Errorf("%s to a client that has not sent everything: %d", name, status)
		}
		client.Close()
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
	}{"taken": {status: 201}, "refused": {status: 415}, "refused early": {status: 413, early: true}, "hints": {status: 201, hints: true}} {
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
			gateway := start(t, soon, services{"video-upload": answer})
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

func formWith(t *testing.T, name string, contents ...[]byte) (body []byte, contentType string) {
	t.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	_ = form.WriteField("other", "field")
	for _, content := range contents {
		w, err := form.CreateFormFile("file", name)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write(content)
	}
	form.Close()
	return b.Bytes(), form.FormDataContentType()
}

func TestUploadForm(t *testing.T) {
	var got []string
	broken := make(chan error, 1)
	gateway := start(t, time.Second, services{"video-upload": func(_ http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(r.Body)
		if err != nil {
			broken <- err
			return
		}
		got = append(got, r.Header.Get("File-Name")+"="+string(content))
		if web.Viewer(r.Header) == "" {
			t.Error("the owner is missing")
		}
	}})
	form, contentType := formWith(t, "여름 100%.mp4", []byte("one"), []byte("two"))
	res, body := do(t, request(t, "POST", gateway+"/upload", bytes.NewReader(form), "Content-Type", contentType))
	if res.StatusCode != 303 || res.Header.Get("Location") != "/" {
		t.Fatalf("%s %s", res.Status, body)
	}
	const name = "%EC%97%AC%EB%A6%84%20100%25.mp4"
	if strings.Join(got, " ") != name+"=one "+name+"=two" {
		t.Errorf("came: %q", got)
	}

	half := bytes.NewReader(form[:bytes.Index(form, []byte("one"))+2])
	if res, _ := do(t, request(t, "POST", gateway+"/upload", half, "Content-Type", contentType)); res.StatusCode < 400 {
		t.Errorf("half a form: %s", res.Status)
	}
	_ = within(t, "the break of the upload upstream", broken)

	empty, contentType := formWith(t, "")
	for name, req := range map[string]*http.Request{
		"no file":    request(t, "POST", gateway+"/upload", bytes.NewReader(empty), "Content-Type", contentType),
		"not a form": request(t, "POST", gateway+"/upload", strings.NewReader("x"), "Content-Type", "text/plain"),
	} {
		if res, _ := do(t, req); res.StatusCode != 400 && res.StatusCode != 415 {
			t.Errorf("%s: %s", name, res.Status)
		}
	}
}

// TestUploadFormRefusedHalfway: what was taken in must not be sent again.
func TestUploadFormRefusedHalfway(t *testing.T) {
	taken := 0
	gateway := startWith(t, soon, 3, services{"video-upload": func(w http.ResponseWriter, r *http.Request) {
		if content, _ := io.ReadAll(r.Body); string(content) == "text" {
			w.WriteHeader(http.StatusUnsupportedMediaType)
			_, _ = io.WriteString(w, `{"error":"this is not a video"}`)
			return
		}
		taken++
	}})
	send := func(cookie string, contents ...[]byte) (*http.Response, string) {
		t.Helper()
		form, contentType := formWith(t, "<여름>.mp4", contents...)
		return do(t, request(t, "POST", gateway+"/upload", bytes.NewReader(form), "Content-Type", contentType, "Cookie", cookie))
	}
	const rest = "Not taken in: “&lt;여름&gt;.mp4” and what follows it."
	res, body := send("", []byte("one"), []byte("text"), []byte("two"))
	if res.StatusCode != 415 || !strings.Contains(body, "This is not a video.") || taken != 1 || !strings.Contains(body, "Videos taken in: 1. "+rest) {
		t.Errorf("%d were taken in: %s %s", taken, res.Status, body)
	}
	if _, body := send("", []byte("text")); strings.Contains(body, "taken in") {
		t.Errorf("one file alone: %s", body)
	}
	if _, body := send("lang=ko", []byte("one"), []byte("text")); !strings.Contains(body, "올린 동영상: 1개. “&lt;여름&gt;.mp4”부터는") {
		t.Errorf("in Korean: %s", body)
	}
	taken = 0
	many := slices.Repeat([][]byte{[]byte("one")}, 5) // of which 30 requests pay for three
	res, body = send("viewer="+strings.Repeat("v", 32), many...)
	if res.StatusCode != 429 || res.Header.Get("Retry-After") == "" || taken != 3 || !strings.Contains(body, "Videos taken in: 3. "+rest) {
		t.Errorf("%d were taken in: %s %s", taken, res.Status, body)
	}
}

func TestForms(t *testing.T) {
	var got string
	status := 200
	service := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = r.Method + " " + r.URL.String() + " " + string(body)
		if web.Viewer(r.Header) == "" {
			t.Error("the viewer is missing")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"error":"only the owner may do this"}`)
	}
	gateway := start(t, time.Second, services{"metadata": service, "history": service})
	jar, _ := cookiejar.New(nil)
	client := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	post := func(path string, form url.Values) (*http.Response, string) {
		t.Helper()
		res, err := client.PostForm(gateway+path, form)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		return res, string(body)
	}
	form := url.Values{"id": {"a&b"}, "name": {`"새" name`}, "back": {"/history?skip=24"}}
	for path, want := range map[string]struct{ request, location string }{
		"/video/rename":   {`PATCH /video?id=a%26b {"name":"\"새\" name"}`, "/video?id=a%26b"},
		"/video/remove":   {"DELETE /video?id=a%26b ", "/"},
		"/history/remove": {"DELETE /viewed?id=a%26b ", "/history?skip=24"},
		"/history/clear":  {"DELETE /history ", "/history"},
	} {
		status = 200
		res, body := post(path, form)
		if res.StatusCode != 303 || res.Header.Get("Location") != want.location || got != want.request {
			t.Errorf("%s: %s to %q by %s: %s", path, res.Status, res.Header.Get("Location"), got, body)
		}
		status = 403
		if res, body := post(path, form); res.StatusCode != 403 || !strings.Contains(body, "Only the owner may do this.") {
			t.Errorf("%s of another's video: %s %s", path, res.Status, body)
		}
		status = 500
		if res, body := post(path, form); res.StatusCode != 502 || strings.Contains(body, "owner may") {
			t.Errorf("%s when metadata fails: %s %s", path, res.Status, body)
		}
	}
	if res, _ := post("/video/rename", url.Values{"name": {strings.Repeat("x", maxForm+1)}}); res.StatusCode != 400 {
		t.Errorf("a form that is too long: %s", res.Status)
	}
}

// TestHungNeighbours asks who took the request and never answers. A browser has six connections for all of it.
func TestHungNeighbours(t *testing.T) {
	hung := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		hangs(w, r)
	}
	gateway := start(t, 50*time.Millisecond, services{"metadata": hung, "history": hung, "video-streaming": hung})
	for _, ask := range []string{
		"POST /video/rename", "POST /video/remove", "POST /history/remove", "POST /history/clear",
		"POST /api/position?video=x", "PATCH /api/video?id=x", "GET /api/poster?id=x",
	} {
		method, path, _ := strings.Cut(ask, " ")
		req := request(t, method, gateway+path, strings.NewReader("{}"))
		if res, body := do(t, req); res.StatusCode != 502 {
			t.Errorf("%s: %s %s", ask, res.Status, body)
		}
	}
}

func TestPosition(t *testing.T) {
	var got string
	gateway := start(t, time.Second, services{"history": func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = r.Method + " " + r.URL.String() + " " + web.Viewer(r.Header) + " " + string(body)
		w.WriteHeader(http.StatusNoContent)
	}})
	viewer := strings.Repeat("v", 32)
	req := request(t, "POST", gateway+"/api/position?video=a%26b", strings.NewReader(`{"position":1,"duration":2}`),
		"Cookie", "viewer="+viewer, "Content-Type", "application/json", "Origin", gateway)
	if res, body := do(t, req); res.StatusCode != 204 || got != "PUT /position?video=a%26b "+viewer+` {"position":1,"duration":2}` {
		t.Errorf("%s %s; history got %s", res.Status, body, got)
	}
	if res, _ := do(t, request(t, "GET", gateway+"/api/position?video=x", nil)); res.StatusCode != 405 {
		t.Errorf("GET: %s", res.Status)
	}
}
