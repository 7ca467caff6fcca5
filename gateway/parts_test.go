package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/web"
)

// TestParts breaks one service after another, in several ways: the page comes without its part, and says so.
func TestParts(t *testing.T) {
	all := fakes{
		"metadata":        library([]string{"1"}, map[string]object{"1": named("1", "One")}),
		"recommendations": answers(object{"recommendations": []object{{"videoId": "1"}}, "known": true}),
		"history":         answers(object{"history": []object{{"videoId": "1"}}}),
		"video-upload":    answers(object{"uploads": []object{}}),
	}
	broken := map[string]http.HandlerFunc{
		"down": nil, "slow": hangs, "nonsense": answers("?"),
		"failing":         func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"another service": func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusNotFound, web.CodeNotFound) },
	}
	for _, c := range []struct{ without, path, missing, has string }{
		{"recommendations", "/", "recommendations", `<a href="/video?id=1">`},
		{"metadata", "/", "the library, recommendations", `id="video-list"`},
		{"history", "/", "where you stopped", `<a href="/video?id=1">`},
		{"history", "/video?id=1", "where you stopped", `<video`},
		{"history", "/video?id=1&t=9", "", `#t=9"`},
		{"metadata", "/video?id=1", "recommendations, other videos, the title", `<video`},
		{"recommendations", "/video?id=1", "recommendations", `<h1 dir="auto">One</h1>`},
		{"recommendations", "/video?id=none", "recommendations", "404"},
		{"metadata", "/video?id=", "recommendations, other videos", "404"},
		{"recommendations", "/?q=One", "", `<a href="/video?id=1">`},
		{"history", "/history", "your history", "<h1>History</h1>"},
		{"metadata", "/history", "titles", `<span class="title" dir="auto">Video</span></a>`},
		{"metadata", "/upload", "your videos, the recovery code", `id="upload-form"`},
		{"video-upload", "/upload", "unfinished uploads", `<a href="/video?id=1">`},
	} {
		for how, handler := range broken {
			t.Run(how+" "+c.without+c.path, func(t *testing.T) {
				t.Parallel()
				running := fakes{}
				for name, h := range all {
					running[name] = h
				}
				running[c.without] = handler
				// What is not slow gets the time that it needs.
				limit := soon
				if how == "slow" {
					limit = 500 * time.Millisecond
				}
				status := 200
				if c.has == "404" {
					status = 404
				}
				body := page(t, start(t, limit, running)+c.path, status)
				if !strings.Contains(body, c.has) {
					t.Errorf("the page lacks %s:\n%s", c.has, body)
				}
				_, missing, _ := strings.Cut(body, "Not available right now: ")
				if missing, _, _ = strings.Cut(missing, ". "); missing != c.missing {
					t.Errorf("missing is said to be %q, want %q", missing, c.missing)
				}
			})
		}
	}
}
