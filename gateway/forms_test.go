package main

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

func TestForms(t *testing.T) {
	var got string
	status := 200
	service := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = r.Method + " " + r.URL.String() + " " + string(body)
		if web.Viewer(r.Header) == "" {
			t.Error("the viewer is missing")
		}
		refuse(w, status, codes.NotOwner)
	}
	gateway := start(t, time.Second, fakes{"metadata": service, "history": service})
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
		"/video/remove":   {"DELETE /video?id=a%26b ", "/history?skip=24"},
		"/history/remove": {"DELETE /viewed?by=day&id=a%26b ", "/history?skip=24"},
		"/history/clear":  {"DELETE /history ", "/history"},
	} {
		status = 200
		res, body := post(path, form)
		if res.StatusCode != 303 || res.Header.Get("Location") != want.location || got != want.request {
			t.Errorf("%s: %s to %q by %s: %s", path, res.Status, res.Header.Get("Location"), got, body)
		}
		status = 403
		if res, body := post(path, form); res.StatusCode != 403 || !strings.Contains(body, "Only the owner of a video can do this.") {
			t.Errorf("%s of another's video: %s %s", path, res.Status, body)
		}
		status = 500
		if res, body := post(path, form); res.StatusCode != 502 || strings.Contains(body, "owner of a video") {
			t.Errorf("%s when metadata fails: %s %s", path, res.Status, body)
		}
	}
	if res, _ := post("/video/rename", url.Values{"name": {strings.Repeat("x", 64<<10+1)}}); res.StatusCode != 400 {
		t.Errorf("a form that is too long: %s", res.Status)
	}
}

func TestRename(t *testing.T) {
	var asked string
	status, viewer := 200, strings.Repeat("v", 32)
	gateway := start(t, time.Second, fakes{"metadata": func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = r.Method + " " + r.URL.String() + " " + web.Viewer(r.Header) + " " + string(body)
		w.WriteHeader(status)
		answer(w, object{"error": "no", "code": codes.NotOwner, "args": object{"n": 1}, "video": object{"owner": viewer}})
	}})
	rename := func(body string) (*http.Response, string) {
		return do(t, request(t, "PATCH", gateway+"/api/video?id=a%26b", strings.NewReader(body), "Cookie", cookie(viewer)))
	}
	res, body := rename(`{"name":"x"}`)
	if res.StatusCode != 204 || body != "" || asked != "PATCH /video?id=a%26b "+viewer+` {"name":"x"}` {
		t.Errorf("%s %s, asked %s", res.Status, body, asked) // a script must not read what the cookie holds
	}
	if res, _ := rename(strings.Repeat("x", 64<<10+1)); res.StatusCode != 413 {
		t.Errorf("a long body: %s", res.Status)
	}
	status = 403
	if res, body := rename("{}"); res.StatusCode != 403 || strings.TrimSpace(body) != `{"error":"no","code":"not_owner","args":{"n":1}}` {
		t.Errorf("%s %s", res.Status, body)
	}
}
