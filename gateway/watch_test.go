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
