package main

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

const formType = "application/x-www-form-urlencoded"

// TestOwnUploads: the upload page lists what the viewer has uploaded, and what is not finished.
func TestOwnUploads(t *testing.T) {
	ann := strings.Repeat("a", 32)
	var asked []string
	note := func(r *http.Request) {
		if web.Viewer(r.Header) != ann {
			t.Errorf("%s %s of the viewer %q", r.Method, r.URL, web.Viewer(r.Header))
		}
		asked = append(asked, r.Method+" "+r.URL.String())
	}
	gateway := start(t, soon, fakes{
		"metadata": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/recovery" {
				refuse(w, http.StatusNotFound, codes.RecoveryNotFound)
				return
			}
			videos := []object{}
			for range 25 {
				videos = append(videos, named("<v>", "<여름>"))
			}
			if r.URL.Path != "/videos/own" || r.URL.Query().Get("limit") != "25" || web.Viewer(r.Header) != ann {
				t.Errorf("asked for %s", r.URL)
			}
			answer(w, object{"videos": videos})
		},
		"video-upload": func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				answer(w, object{"uploads": []object{
					{"id": "u1", "fileName": "<b>\u202e.mp4", "size": 2_000_000, "offset": 500_000},
					{"id": "u2", "fileName": "whole.mp4", "size": 7, "offset": 7},
				}})
				return
			}
			note(r)
			if strings.HasSuffix(r.URL.Path, "gone") {
				refuse(w, http.StatusNotFound, codes.UploadNotFound)
				return
			}
			w.WriteHeader(http.StatusNoContent)
		},
	})
	body := page(t, gateway+"/upload", 200, "Cookie", cookie(ann))
	for _, want := range []string{
		`href="/video?id=%3cv%3e"`, "&lt;여름&gt;", `<input type="hidden" name="back" value="/upload">`,
		"&lt;b&gt;.mp4", "25 % of 2 MB", `data-id="u1" data-size="2000000"`, `name="id" value="u1"`, `rel="next" href="/upload?skip=24"`,
		"whole.mp4", "All of it has arrived.", `action="/recovery/make"`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	for _, no := range []string{`name="id" value="u2"`, "<b>.mp4", ann, "Not available", `formaction="/recovery/revoke"`} {
		if strings.Contains(body, no) {
			t.Errorf("the page has %s", no)
		}
	}
	if got := strings.Count(body, `action="/video/remove"`); got != 24 {
		t.Errorf("%d videos are on the page", got)
	}
	if korean := page(t, gateway+"/upload", 200, "Cookie", cookie(ann)+"; lang=ko"); !strings.Contains(korean, "25% / 2 MB") || !strings.Contains(korean, "내 동영상") {
		t.Error("the Korean page has no Korean list")
	}
	remove := func(id string) int {
		t.Helper()
		res, _ := do(t, request(t, "POST", gateway+"/upload/remove", strings.NewReader(url.Values{"id": {id}}.Encode()),
			"Content-Type", formType, "Cookie", cookie(ann)))
		if res.StatusCode == 303 && res.Header.Get("Location") != "/upload" {
			t.Errorf("after the removal the browser goes to %s", res.Header.Get("Location"))
		}
		return res.StatusCode
	}
	for id, want := range map[string]int{"u1": 303, "gone": 303, "": 404, "../videos": 404, "u1/poster": 404, "u1?x": 404} {
		if got := remove(id); got != want {
			t.Errorf("the removal of %q: %d, want %d", id, got, want)
		}
	}
	if len(asked) != 2 {
		t.Errorf("asked was %q", asked)
	}
}

// TestUploadPageWithoutServices: files can be chosen all the same.
func TestUploadPageWithoutServices(t *testing.T) {
	body := page(t, start(t, soon, nil)+"/upload", 200)
	if !strings.Contains(body, `id="upload-form"`) || !strings.Contains(body, "Not available right now: unfinished uploads, your videos, the recovery code.") {
		t.Errorf("%s", body)
	}
}

// TestRemoveGoesBack: from the upload page the owner stays there; no form leads to another site.
func TestRemoveGoesBack(t *testing.T) {
	gateway := start(t, soon, fakes{"metadata": answers(object{})})
	for back, want := range map[string]string{"/upload": "/upload", "": "/", "https://other.example": "/", "//other.example": "/"} {
		res, _ := do(t, request(t, "POST", gateway+"/video/remove", strings.NewReader(url.Values{"id": {"x"}, "back": {back}}.Encode()), "Content-Type", formType))
		if res.StatusCode != 303 || res.Header.Get("Location") != want {
			t.Errorf("back %q: %s to %q", back, res.Status, res.Header.Get("Location"))
		}
	}
}

// recoveries is a metadata service with one code, of one viewer.
type recoveries struct {
	code, viewer string

	mu       sync.Mutex // a page asks more than one thing at a time
	requests []string
}

// asked returns the requests so far.
func (s *recoveries) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

func (s *recoveries) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.requests = append(s.requests, r.Method+" "+r.URL.String()+" "+web.Viewer(r.Header))
	s.mu.Unlock()
	switch {
	case r.URL.Path == "/videos/own":
		answer(w, object{"videos": []object{}})
	case r.URL.Path == "/recovery/use" && strings.Contains(string(body), s.code):
		answer(w, object{"viewer": object{"id": s.viewer}})
	case r.URL.Path == "/recovery/use":
		refuse(w, http.StatusNotFound, codes.RecoveryNotFound)
	case r.Method == http.MethodDelete:
		w.WriteHeader(http.StatusNoContent)
	default:
		answer(w, object{"code": s.code, "recovery": object{"madeAt": time.Now()}})
	}
}

// TestRecoveryCode: it is shown in one answer, and makes another browser the viewer who made it.
func TestRecoveryCode(t *testing.T) {
	ann, bob := strings.Repeat("a", 32), strings.Repeat("b", 32)
	service := &recoveries{code: "ABCD-EFGH", viewer: ann}
	var log bytes.Buffer
	gateway := startWith(t, soon, 1000, slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), fakes{
		"metadata": service.serve, "video-upload": answers(object{"uploads": []object{}}),
	})
	post := func(path, viewer, code string) (*http.Response, string) {
		t.Helper()
		return do(t, request(t, "POST", gateway+path, strings.NewReader(url.Values{"code": {code}}.Encode()), "Content-Type", formType, "Cookie", cookie(viewer)))
	}
	res, body := post("/recovery/make", ann, "")
	if res.StatusCode != 200 || res.Header.Get("Cache-Control") != "no-store" || !strings.Contains(body, ">ABCD-EFGH</p>") {
		t.Errorf("making one: %s %v %s", res.Status, res.Header, body)
	}
	body = page(t, gateway+"/upload", 200, "Cookie", cookie(ann))
	if strings.Contains(body, "ABCD") || !strings.Contains(body, `formaction="/recovery/revoke"`) || !strings.Contains(body, "Make a new recovery code") {
		t.Errorf("the upload page of a viewer who has a code: %s", body)
	}

	res, _ = post("/recovery/use", bob, " abcd efgh ABCD-EFGH")
	if cookies := res.Cookies(); res.StatusCode != 303 || res.Header.Get("Location") != "/upload" || len(cookies) != 1 ||
		"viewer="+cookies[0].Value != cookie(ann) || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteLaxMode {
		t.Errorf("using it: %s %v", res.Status, res.Header)
	}
	for _, wrong := range []string{"WRONG", "", strings.Repeat("x", 1000) + "ABCD-EFGH"} {
		res, body := post("/recovery/use", bob, wrong)
		if res.StatusCode != 404 || !strings.Contains(body, `role="alert">This recovery code is not valid.`) || !strings.Contains(body, `id="upload-form"`) ||
			"viewer="+res.Cookies()[0].Value != cookie(bob) {
			t.Errorf("using %.10q: %s %v %s", wrong, res.Status, res.Header, body)
		}
	}
	if res, _ := post("/recovery/revoke", ann, ""); res.StatusCode != 303 || !slices.Contains(service.asked(), "DELETE /recovery "+ann) {
		t.Errorf("revoking: %s, asked %q", res.Status, service.asked())
	}
	if res, _ := do(t, request(t, "GET", gateway+"/recovery/use?code=ABCD-EFGH", nil, "Cookie", cookie(bob))); res.StatusCode != 405 {
		t.Errorf("a link with a code: %s", res.Status)
	}
	if text := log.String() + strings.Join(service.asked(), "\n"); strings.Contains(strings.ReplaceAll(text, "code=ABCD-EFGH", ""), "ABCD") {
		t.Errorf("a log or an address has the code: %s", text)
	}
}

// TestRecoveryIsLimited: it costs as much as an upload.
func TestRecoveryIsLimited(t *testing.T) {
	service := &recoveries{code: "ABCD-EFGH"}
	gateway := startWith(t, soon, 1, slog.New(slog.DiscardHandler), fakes{"metadata": service.serve})
	for _, want := range []int{404, 429} {
		res, body := do(t, request(t, "POST", gateway+"/recovery/use", strings.NewReader("code=WRONG"), "Content-Type", formType, "Cookie", cookie(strings.Repeat("b", 32))))
		if res.StatusCode != want {
			t.Errorf("%s, want %d: %s", res.Status, want, body)
		}
	}
}
