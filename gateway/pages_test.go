package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"flixtube/chassis"
)

type object = map[string]any

// library is a metadata service that has these videos, by id, and asserts on nothing.
func library(ids []string, videos map[string]object) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/video" {
			v, ok := videos[r.FormValue("id")]
			if !ok {
				w.WriteHeader(http.StatusNotFound)
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

func answers(v any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { answer(w, v) }
}

// hangs holds every request until the caller gives up.
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

func TestHome(t *testing.T) {
	hostile := `a"><b>&id=../ ü`
	videos := map[string]object{
		"1": named("1", `<script>alert(1)</script> & "quotes"`), "2": named("2", "서울 \u202emp4"), "3": {"_id": "3"},
		"4": {"_id": "4", "name": 7, "owner": object{"x": 1}, "uploadedAt": "yesterday"}, "5": {"name": "no id"}, hostile: named(hostile, "Hostile"),
	}
	gateway := start(t, soon, services{
		"metadata": library([]string{"1", "2", "3", "4", "5", hostile}, videos),
		"history": answers(object{"positions": []object{
			{"videoId": "2", "position": 2, "duration": 100},
			{"videoId": "gone", "position": 50, "duration": 100},
			{"videoId": hostile, "position": 94.9, "duration": 100},
			{"videoId": "3", "position": 95, "duration": 100},
			{"videoId": "1", "position": 3, "duration": 100},
			{"videoId": "4", "position": 1},
			{"videoId": "4", "position": -1, "duration": 2},
		}}),
		"recommendations": answers(object{"recommendations": []object{{"videoId": "2"}, {"videoId": "gone"}, {"videoId": "1"}}}),
	})
	body := page(t, gateway+"/", 200)
	script := "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#34;quotes&#34;"
	expect(t, "the library", links(t, body, "video-list"), "/video?id=1 "+script, "/video?id=2 서울 mp4",
		"/video?id=3 Untitled", "/video?id=4 Untitled", "/video?id=a%22%3e%3cb%3e%26id%3d..%2f%20%c3%bc Hostile")
	expect(t, "recommended", links(t, body, "recommended-list"), "/video?id=2 서울 mp4", "/video?id=1 "+script)
	expect(t, "to continue", links(t, body, "continue-list"), "/video?id=a%22%3e%3cb%3e%26id%3d..%2f%20%c3%bc Hostile", "/video?id=1 "+script)
	if strings.Count(body, "<progress") != 2 || !strings.Contains(body, `value="94" aria-label="94 % watched"`) {
		t.Errorf("the bars are wrong:\n%s", body)
	}
	if n := strings.Count(body, `<div class="card"><a href="/video?id=`); n != 9 {
		t.Errorf("%d cards are a div with a link, of 9", n)
	}
	if strings.Contains(body, "Not available") {
		t.Error("something is said to be missing")
	}
}

func TestSearchAndPaging(t *testing.T) {
	var asked url.Values
	gateway := start(t, soon, services{"metadata": func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Query()
		var list []object
		for i := range 25 {
			list = append(list, named(fmt.Sprint(i), "n"))
		}
		answer(w, object{"videos": list})
	}, "recommendations": func(http.ResponseWriter, *http.Request) {
		t.Error("a search asks for recommendations")
	}})
	body := page(t, gateway+"/?q="+url.QueryEscape(`"a" &b`)+"&skip=24", 200)
	if got := asked.Encode(); got != "limit=25&search=%22a%22+%26b&skip=24&sort=newest" {
		t.Errorf("asked for %s", got)
	}
	if n := len(links(t, body, "video-list")); n != 24 {
		t.Errorf("%d videos on a page", n)
	}
	for _, want := range []string{`href="/?q=%22a%22&#43;%26b&amp;skip=48"`, `href="/?q=%22a%22&#43;%26b"`, `value="&#34;a&#34; &amp;b"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	for _, query := range []string{"skip=-1", "skip=x", "q=%ff", "q=" + strings.Repeat("a", maxSearch+1)} {
		page(t, gateway+"/?"+query, 400)
	}
}

func TestWatch(t *testing.T) {
	gateway := start(t, soon, services{
		"metadata": func(w http.ResponseWriter, r *http.Request) {
			videos := map[string]object{"a&b": named("a&b", "<i>One</i>"), "2": named("2", "Two"), "3": named("3", "Three")}
			videos["a&b"]["owner"] = chassis.Viewer(r.Header)
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

func TestHistory(t *testing.T) {
	viewer := strings.Repeat("v", 32)
	at := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	var lookups atomic.Int32
	gateway := start(t, soon, services{
		"metadata": func(w http.ResponseWriter, r *http.Request) {
			lookups.Add(1)
			library(nil, map[string]object{"1": named("1", "One"), "2": named("2", "")})(w, r)
		},
		"history": func(w http.ResponseWriter, r *http.Request) {
			if chassis.Viewer(r.Header) != viewer || r.URL.RawQuery != "limit=25&skip=24" {
				t.Errorf("asked for %s of %q", r.URL, chassis.Viewer(r.Header))
			}
			answer(w, object{"history": []object{
				{"_id": `a"b`, "videoId": "1", "viewedAt": at, "position": 30, "duration": 60},
				{"videoId": "2"},
				{"videoId": "gone", "viewedAt": at},
				{"videoId": "1", "viewedAt": at},
			}})
		},
	})
	body := page(t, gateway+"/history?skip=24", 200, "Cookie", "viewer="+viewer)
	expect(t, "history", links(t, body, "history-list"), "/video?id=1 One", "/video?id=2 Untitled", "/video?id=1 One")
	if !strings.Contains(body, "no longer here") || !strings.Contains(body, `datetime="2026-05-06T07:08:09Z">6 May 2026, 07:08 UTC<`) {
		t.Errorf("a removed video or a time is missing:\n%s", body)
	}
	if !strings.Contains(body, `rel="prev" href="/history"`) || strings.Contains(body, `rel="next"`) {
		t.Errorf("the paging is wrong:\n%s", body)
	}
	if n := lookups.Load(); n != 1 {
		t.Errorf("%d lookups", n)
	}
	var days []string
	for _, m := range regexp.MustCompile(`<h2 class="day">(.*?)</h2>`).FindAllStringSubmatch(body, -1) {
		days = append(days, m[1])
	}
	expect(t, "days", days, "6 May 2026", "Without a date", "6 May 2026")
	if !strings.Contains(body, `value="50" aria-label="50 % watched"`) || strings.Count(body, "<progress") != 1 {
		t.Error("the bar is missing")
	}
	if !strings.Contains(body, `name="id" value="a&#34;b"><input type="hidden" name="back" value="/history?skip=24">`) {
		t.Errorf("the line cannot be removed:\n%s", body)
	}
	page(t, gateway+"/history?skip=-1", 400)
}

// TestParts takes one service after another away, in two ways: the page comes all the same, and says so.
func TestParts(t *testing.T) {
	all := services{
		"metadata":        library([]string{"1"}, map[string]object{"1": named("1", "One")}),
		"recommendations": answers(object{"recommendations": []object{{"videoId": "1"}}}),
		"history":         answers(object{"history": []object{{"videoId": "1"}}}),
	}
	broken := map[string]http.HandlerFunc{
		"down": nil, "slow": hangs, "nonsense": answers("?"),
		"failing": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
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
		{"history", "/history", "your history", "<h1>History</h1>"},
		{"metadata", "/history", "titles", `<a href="/video?id=1">`},
		{"metadata", "/upload", "", "<form"},
	} {
		for how, handler := range broken {
			t.Run(how+" "+c.without+c.path, func(t *testing.T) {
				t.Parallel()
				running := services{}
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

func TestResume(t *testing.T) {
	position := object{}
	gateway := start(t, soon, services{
		"metadata": library(nil, map[string]object{"a&b": named("a&b", "One")}),
		"history": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.String() != "/position?video=a%26b" || chassis.Viewer(r.Header) == "" {
				t.Errorf("asked for %s of %q", r.URL, chassis.Viewer(r.Header))
			}
			if len(position) == 0 {
				w.WriteHeader(http.StatusNotFound)
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
		{"", 5, 0, `"`},
		{"", "5", 10, `"`},
		{"&t=90", 12.5, 100, `#t=90"`},
		{"&t=1m30.5s", 12.5, 100, `#t=90.5"`},
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

// full is a system in which every page has all of its parts.
func full() services {
	videos, ids := map[string]object{}, []string{}
	var positions, lines, recommended []object
	for i := range 24 {
		id := fmt.Sprintf("%08d-0000-4000-8000-000000000000", i)
		videos[id] = object{"_id": id, "name": "A title of some length, number " + id[:8], "uploadedAt": "2026-05-06T07:08:09Z"}
		ids = append(ids, id)
		positions = append(positions, object{"videoId": id, "position": 50, "duration": 100})
		recommended = append(recommended, object{"videoId": id})
		lines = append(lines, object{"_id": id, "videoId": id, "viewedAt": time.Date(2026, 5, 1+i/5, 0, 0, 0, 0, time.UTC), "position": 50, "duration": 100})
	}
	return services{
		"metadata": library(ids, videos), "recommendations": answers(object{"recommendations": recommended}),
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
		{"/upload", "1", 200},
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

// TestFirstPageIsLight counts all that a browser fetches to show a full home page, in the language that needs more.
func TestFirstPageIsLight(t *testing.T) {
	gateway := start(t, soon, full())
	body := page(t, gateway+"/", 200, "Cookie", "lang=ko")
	total, fetched := len(body), map[string]bool{"ko.js": true}
	for _, m := range regexp.MustCompile(`/assets/[0-9a-f]+/([a-z.]+)"`).FindAllStringSubmatch(body, -1) {
		fetched[m[1]] = true
	}
	for grown := true; grown; {
		grown = false
		for name := range fetched {
			content, _ := files.ReadFile("assets/" + name)
			for _, m := range regexp.MustCompile(`from "\./([a-z]+\.js)"`).FindAllSubmatch(content, -1) {
				grown = grown || !fetched[string(m[1])]
				fetched[string(m[1])] = true
			}
		}
	}
	for name := range fetched {
		content, err := files.ReadFile("assets/" + name)
		if err != nil {
			t.Error(err)
		}
		total += len(content)
	}
	if total > 60_000 || len(fetched) < 6 {
		t.Errorf("the home page with %d files weighs %d bytes", len(fetched), total)
	}
	t.Logf("%d bytes", total)
}

func TestErrorPages(t *testing.T) {
	gateway := start(t, time.Second, nil)
	page(t, gateway+"/none", 404)
	if res, body := do(t, request(t, "GET", gateway+"/api/none", nil)); res.StatusCode != 404 || body != `{"error":"Not Found"}`+"\n" {
		t.Errorf("/api/none: %s %s", res.Status, body)
	}
	if res, body := do(t, request(t, "DELETE", gateway+"/video", nil)); res.StatusCode != 405 || !strings.Contains(body, "</html>") {
		t.Errorf("DELETE /video: %s %s", res.Status, body)
	}
}
