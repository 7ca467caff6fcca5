package main

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

func TestWatch(t *testing.T) {
	gateway := start(t, soon, fakes{
		"metadata": func(w http.ResponseWriter, r *http.Request) {
			videos := map[string]object{"a&b": named("a&b", "<i>One</i>"), "2": named("2", "Two"), "3": named("3", "Three")}
			videos["a&b"]["owner"] = web.Viewer(r.Header)
			videos["2"]["owner"] = "somebody else"
			library([]string{"a&b", "2", "3"}, videos)(w, r)
		},
		"recommendations": answers(object{"recommendations": []object{{"videoId": "3"}}}),
	})
	player := regexp.MustCompile(`<video [^>]*controls[^>]* src="/api/video\?id=a%26b&amp;view=([0-9a-f-]{36})"`)
	body := page(t, gateway+"/video?id=a%26b", 200)
	first, second := player.FindStringSubmatch(body), player.FindStringSubmatch(page(t, gateway+"/video?id=a%26b", 200))
	if first == nil || second == nil || first[1] == second[1] {
		t.Errorf("the viewings are %q and %q", first, second)
	}
	if !strings.Contains(body, `<h1 dir="auto">&lt;i&gt;One&lt;/i&gt;</h1>`) || !strings.Contains(body, `name="id" value="a&amp;b"`) {
		t.Errorf("the title or the owner's forms are missing:\n%s", body)
	}
	expect(t, "up next", links(t, body, "next-list"), "/video?id=3 Three", "/video?id=2 Two")
	if other := page(t, gateway+"/video?id=2", 200); strings.Contains(other, `action="/video/`) || strings.Contains(other, "somebody") {
		t.Error("a viewer is shown another owner's forms, or id")
	}
	for _, address := range []string{"/video?id=none", "/video?id=", "/video"} {
		body := page(t, gateway+address, 404)
		if len(links(t, body, "next-list")) != 3 || strings.Contains(body, "<video") {
			t.Errorf("%s has no other videos to show:\n%s", address, body)
		}
	}
	if res, _ := do(t, request(t, "HEAD", gateway+"/video?id=none", nil)); res.StatusCode != 404 {
		t.Errorf("HEAD of no video: %s", res.Status)
	}
	if res, _ := do(t, request(t, "HEAD", gateway+"/video?id=2", nil)); res.StatusCode != 200 {
		t.Errorf("HEAD of a video: %s", res.Status)
	}
}

// TestPreview: what a chat shows about a link to a video. The address is the one that was asked for, and nothing that a header
// claims about it.
func TestPreview(t *testing.T) {
	gateway := start(t, soon, fakes{"metadata": library([]string{"a&b"}, map[string]object{"a&b": {
		"_id": "a&b", "name": `"><b>`, "poster": true, "contentType": "video/mp4", "duration": 61.5, "uploadedAt": "2026-03-01T09:00:00Z", "owner": "secret",
	}})})
	body := page(t, gateway+"/video?id=a%26b", 200, "X-Forwarded-Proto", "gopher")
	for name, content := range map[string]string{
		"og:title": "&#34;&gt;&lt;b&gt;", "og:video": gateway + "/api/video?id=a%26b", "og:image": gateway + "/api/poster?id=a%26b",
		"og:video:type": "video/mp4", "og:url": gateway + "/video?id=a%26b",
		"og:description": "1:02 · 1 March 2026 · FlixTube, a small video site made of small services.",
	} {
		if !strings.Contains(body, `<meta property="`+name+`" content="`+content+`">`) {
			t.Errorf("%s is not %s:\n%s", name, content, body[:min(len(body), 3000)])
		}
	}
	if strings.Contains(body, "secret") {
		t.Error("the owner is shown")
	}
}

// TestBlankTitle: the form on the watch page says what is wrong, in the viewer's language.
func TestBlankTitle(t *testing.T) {
	const viewer = "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv"
	gateway := start(t, soon, fakes{"metadata": func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch {
			w.WriteHeader(http.StatusBadRequest)
			answer(w, object{"error": "x", "code": codes.InvalidName, "args": object{"max": 200}})
			return
		}
		library([]string{"1"}, map[string]object{"1": {"_id": "1", "name": "One", "owner": viewer}})(w, r)
	}})
	for language, want := range map[string]string{"en": "A title must have 1 to 200 characters.", "ko": "제목은 1자 이상 200자 이하여야 합니다."} {
		res, body := do(t, request(t, "POST", gateway+"/video/rename", strings.NewReader("id=1&name=+"),
			"Content-Type", "application/x-www-form-urlencoded", "Cookie", cookie(viewer)+"; lang="+language))
		if res.StatusCode != 400 || !strings.Contains(body, `role="alert">`+want) || !strings.Contains(body, `<details name="owner" open>`) || !strings.Contains(body, "<video ") {
			t.Errorf("%s: %s\n%s", language, res.Status, body)
		}
	}
}

func TestResume(t *testing.T) {
	position := object{}
	gateway := start(t, soon, fakes{
		"metadata": library(nil, map[string]object{"a&b": named("a&b", "One")}),
		"history": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.String() != "/position?video=a%26b" || web.Viewer(r.Header) == "" {
				t.Errorf("asked for %s of %q", r.URL, web.Viewer(r.Header))
			}
			if len(position) == 0 {
				refuse(w, http.StatusNotFound, codes.PositionNotFound)
				return
			}
			answer(w, object{"position": position})
		},
	})
	for _, c := range []struct {
		query              string
		position, duration any
		want               string
	}{
		{"", nil, nil, `"`},
		{"", 12.5, 100, `#t=12.5"`},
		{"", 2.9, 100, `"`},
		{"", 95, 100, `"`},
		{"", 9.9, 7200, `"`}, // a long film is continued from soon after its beginning
		{"", 10, 7200, `#t=10"`},
		{"", 7139, 7200, `#t=7139"`}, // and until shortly before its end
		{"", 7140, 7200, `"`},
		{"", 5, 0, `"`},
		{"", "5", 10, `"`},
		{"&t=90", 12.5, 100, `#t=90"`},
		{"&t=1m30.5s", 12.5, 100, `#t=90.5"`},
		{"&t=0", 12.5, 100, `"`},
		{"&t=0s", 12.5, 100, `"`},
		{"&t=x", 12.5, 100, `#t=12.5"`},
		{"&t=-4", 12.5, 100, `#t=12.5"`},
		{"&t=NaN", 12.5, 100, `#t=12.5"`},
		{"&t=1e99", 12.5, 100, `#t=12.5"`},
	} {
		position = object{"videoId": "a&b", "position": c.position, "duration": c.duration}
		if c.position == nil {
			position = object{}
		}
		body := page(t, gateway+"/video?id=a%26b"+c.query, 200)
		if c.position == nil && strings.Contains(body, "where you stopped") {
			t.Error("a video that was not watched yet is said to miss something")
		}
		_, rest, _ := strings.Cut(body, "&amp;view=")
		if !strings.HasPrefix(rest[36:], c.want+">") {
			t.Errorf("%s with %v: the address of the video ends in %.20s, want %s", c.query, position, rest[36:], c.want)
		}
	}
}
