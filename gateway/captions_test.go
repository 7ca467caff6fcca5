package main

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/web"
	"flixtube/contracts/codes"
	"flixtube/contracts/limits"
)

// captionsForm is a browser's form: pairs of names and values, and a file if it has a name.
func captionsForm(t *testing.T, fileName, file string, fields ...string) (body *bytes.Buffer, contentType string) {
	t.Helper()
	body = &bytes.Buffer{}
	form := multipart.NewWriter(body)
	for i := 0; i < len(fields); i += 2 {
		if err := form.WriteField(fields[i], fields[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	part, err := form.CreateFormFile("file", fileName)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(part, file)
	_ = form.Close()
	return body, form.FormDataContentType()
}

// TestCaptionsForm: the owner's form works without scripts, and a broken file is named with its line.
func TestCaptionsForm(t *testing.T) {
	var asked string
	refused := ""
	gateway := start(t, soon, fakes{"metadata": func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/captions" {
			v := named("a&b", "One")
			v["owner"], v["captions"] = web.Viewer(r.Header), []string{"ko", `"><script>`}
			library([]string{"a&b"}, map[string]object{"a&b": v})(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		asked = fmt.Sprintf("%s %s %.60s", r.Method, r.URL, body)
		switch refused {
		case "":
			w.WriteHeader(http.StatusNoContent)
		case codes.NotOwner:
			refuse(w, http.StatusForbidden, refused)
		default:
			w.WriteHeader(http.StatusBadRequest)
			answer(w, object{"error": "no", "code": refused, "args": object{"line": 7, "max": 10}})
		}
	}})
	post := func(fileName, file string, fields ...string) (*http.Response, string) {
		t.Helper()
		body, contentType := captionsForm(t, fileName, file, fields...)
		return do(t, request(t, "POST", gateway+"/video/captions", body, "Content-Type", contentType, "Cookie", cookie(strings.Repeat("v", 32))))
	}
	res, _ := post("a.srt", "1\n", "id", "a&b", "language", "ko")
	if res.StatusCode != 303 || res.Header.Get("Location") != "/video?id=a%26b" || asked != "PUT /captions?id=a%26b&language=ko 1\n" {
		t.Errorf("%s to %q, asked %q", res.Status, res.Header.Get("Location"), asked)
	}
	large := strings.Repeat("x", limits.Captions+1)
	for _, c := range []struct {
		code, name, file, id, language string
		status                         int
		want                           string
	}{
		{codes.CaptionsNoTiming, "<b>.srt", "x", "a&b", "ko", 400, "“&lt;b&gt;.srt”: Line 7: a time is missing or wrong."},
		{codes.CaptionsEmpty, "a.srt", "", "a&b", "ko", 400, "“a.srt”: The file has no captions."},
		{codes.InvalidLanguage, "a.srt", "x", "a&b", "", 400, "“a.srt”: Choose the language of the captions."},
		{"", "a.srt", "x", "a&b", strings.Repeat("x", 36), 400, "Choose the language of the captions."},
		{"", "a.srt", large, "a&b", "ko", 413, "“a.srt”: The request is too large. At most 500 kB are allowed."},
		{"", "a.srt", large + large, "a&b", "ko", 413, "“a.srt”: The request is too large. At most 500 kB are allowed."},
		{"", "", "", "a&b", "ko", 400, "Choose a file with captions first."},
	} {
		refused = c.code
		res, body := post(c.name, c.file, "id", c.id, "language", c.language)
		if res.StatusCode != c.status || !strings.Contains(body, `<p class="wrong" id="captions-error" role="alert">`+c.want) || !strings.Contains(body, "<video") {
			t.Errorf("%s: %s, want %d %q:\n%s", c.code, res.Status, c.status, c.want, body)
		}
	}
	refused = codes.NotOwner
	if res, body := post("a.srt", "x", "id", "a&b", "language", "ko"); res.StatusCode != 403 || strings.Contains(body, "<video") {
		t.Errorf("another's video: %s", res.Status)
	}
	refused = ""
	if res, _ := post("a.srt", "x", "language", "ko"); res.StatusCode != 400 {
		t.Errorf("no id: %s", res.Status)
	}
	if res, _ := post("a.srt", "x", "id", strings.Repeat("x", limits.ID+1), "language", "ko"); res.StatusCode != 400 {
		t.Errorf("a long id: %s", res.Status)
	}
	asked = ""
	body, contentType := captionsForm(t, "a.srt", "x", "id", "a&b", "language", "ko")
	res, _ = do(t, request(t, "POST", gateway+"/video/captions", body, "Content-Type", contentType, "Sec-Fetch-Site", "cross-site"))
	if res.StatusCode != 403 || asked != "" {
		t.Errorf("from another site: %s, asked %q", res.Status, asked)
	}
	res, _ = do(t, request(t, "POST", gateway+"/video/captions/remove", strings.NewReader("id=a%26b&language=ko"), "Content-Type", "application/x-www-form-urlencoded"))
	if res.StatusCode != 303 || asked != "DELETE /captions?id=a%26b&language=ko " {
		t.Errorf("remove: %s, asked %q", res.Status, asked)
	}
	shown := page(t, gateway+"/video?id=a%26b", 200, "Cookie", cookie(strings.Repeat("v", 32)))
	if !strings.Contains(shown, `<track kind="captions" src="/api/captions?id=a%26b&amp;language=ko" srclang="ko" label="한국어">`) ||
		strings.Contains(shown, "<script>") || !strings.Contains(shown, `<option value="zh-Hant" lang="zh-Hant">繁體中文</option>`) {
		t.Errorf("the player's tracks, or the form's languages:\n%s", shown)
	}
}

func TestCaptions(t *testing.T) {
	status, contentType := 200, "text/vtt; charset=utf-8"
	var asked string
	gateway := start(t, time.Second, fakes{"metadata": func(w http.ResponseWriter, r *http.Request) {
		asked = r.Method + " " + r.URL.String()
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("ETag", `"1"`)
		if r.Header.Get("If-None-Match") == `"1"` {
			status = http.StatusNotModified
		}
		w.WriteHeader(status)
		if status == http.StatusOK {
			_, _ = io.WriteString(w, "WEBVTT\n")
		}
	}})
	ask := func(method string, header ...string) (*http.Response, string) {
		return do(t, request(t, method, gateway+"/api/captions?id=a%26b&language=zh-Hant&x=y", nil, header...))
	}
	res, body := ask("GET")
	if res.StatusCode != 200 || body != "WEBVTT\n" || asked != "GET /captions?id=a%26b&language=zh-Hant" ||
		res.Header.Get("Content-Type") != contentType || res.Header.Get("X-Content-Type-Options") != "nosniff" ||
		!strings.Contains(res.Header.Get("Content-Security-Policy"), "default-src 'none'") || res.Header.Get("Cache-Control") != "private, no-cache" {
		t.Errorf("%s %v %q, asked %s", res.Status, res.Header, body, asked)
	}
	if res, _ := ask("GET", "Sec-Fetch-Site", "cross-site"); res.StatusCode != 403 {
		t.Errorf("for another site's page: %s", res.Status)
	}
	if res, _ := ask("GET", "If-None-Match", `"1"`); res.StatusCode != 304 {
		t.Errorf("unchanged: %s", res.Status)
	}
	for _, c := range []struct {
		status      int
		contentType string
		want        int
	}{
		{200, "text/html; charset=utf-8", 502},
		{200, "text/vtt", 502},
		{500, "application/json", 502},
		{302, contentType, 502},
		{404, "application/json", 404},
		{400, "application/json", 404},
	} {
		status, contentType = c.status, c.contentType
		res, body := ask("GET")
		if res.StatusCode != c.want || !strings.HasPrefix(body, `{"error":`) || res.Header.Get("Content-Type") != "application/json" {
			t.Errorf("after %d %s: %s %v %s", c.status, c.contentType, res.Status, res.Header, body)
		}
	}
}
