package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"flixtube/chassis/web"
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

func TestFacts(t *testing.T) {
	videos := map[string]object{
		"1": {"_id": "1", "name": "One", "duration": 3723.4, "poster": true, "uploadedAt": "2026-05-06T23:08:09Z"},
		"2": {"_id": "2", "name": "Two", "duration": 0.2, "poster": true},
		"3": {"_id": "3", "name": "Three", "duration": "63", "poster": "yes"},
		"4": {"_id": "4", "name": "Four", "duration": -1, "poster": false},
		"5": {"_id": "5", "name": "Five", "duration": 1e7 + 1},
		"6": {"_id": "6", "name": "Six", "duration": 599.5},
	}
	ids := []string{"1", "2", "3", "4", "5", "6"}
	var asked []string
	views := object{"views": object{"1": 1, "2": 1234, "3": 0, "gone": 3}}
	gateway := start(t, soon, services{
		"metadata": library(ids, videos),
		"recommendations": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/views" {
				asked = append(asked, r.URL.RawQuery)
				answer(w, views)
				return
			}
			answer(w, object{"recommendations": []object{{"videoId": "2"}}})
		},
		"history": answers(object{
			"positions": []object{{"videoId": "6", "position": 50, "duration": 100}},
			"history":   []object{{"videoId": "1"}, {"videoId": "3"}},
		}),
	})
	expectFacts := func(path, list string, want ...string) {
		t.Helper()
		body := page(t, gateway+path, 200)
		_, rest, _ := strings.Cut(body, `id="`+list+`"`)
		rest, _, _ = strings.Cut(rest, "</section>")
		var got []string
		for _, m := range regexp.MustCompile(`(?s)<(?:div class="card"|li)>(.*?)</(?:div|li)>`).FindAllStringSubmatch(rest, -1) {
			src := regexp.MustCompile(`<img src="([^"]*)"`).FindStringSubmatch(m[1])
			text := regexp.MustCompile(`<[^>]*>`).ReplaceAllString(m[1], "|")
			got = append(got, strings.Join(append(src[min(1, len(src)):], strings.FieldsFunc(text, func(r rune) bool { return r == '|' || r == '\n' })...), " "))
		}
		expect(t, path+" "+list, got, want...)
	}
	one, two := "/api/poster?id=1 1:02:03 One , 1 hour 2 minutes 3 seconds 1 view 6 May 2026", "/api/poster?id=2 0:01 Two , 1 second 1234 views"
	expectFacts("/", "video-list", one, two, "Three", "Four", "Five", "10:00 Six , 10 minutes")
	expectFacts("/", "recommended-list", two)
	expectFacts("/", "continue-list", "10:00 Six , 10 minutes")
	expectFacts("/history", "history-list", "/api/poster?id=1 1:02:03 One , 1 hour 2 minutes 3 seconds", "Three")
	if len(asked) != 3 || asked[0] != "id=1&id=2&id=3&id=4&id=5&id=6" {
		t.Errorf("asked for %q", asked)
	}
	watching := page(t, gateway+"/video?id=1", 200)
	if !strings.Contains(watching, ` poster="/api/poster?id=1" `) || !strings.Contains(watching, `data-count="1">1 view</span><time`) {
		t.Errorf("the player has no picture, or the video no facts:\n%s", watching)
	}
	if other := page(t, gateway+"/video?id=3", 200); !strings.Contains(other, ` poster="/assets/`) {
		t.Errorf("a video without a picture has one:\n%s", other)
	}
	if korean := page(t, gateway+"/", 200, "Cookie", "lang=ko"); !strings.Contains(korean, "1시간 2분 3초") || !strings.Contains(korean, ">조회수 1234회<") {
		t.Errorf("facts are not in Korean:\n%s", korean)
	}
	for _, nonsense := range []any{object{}, object{"views": 7}, "?", nil} {
		views, _ = nonsense.(object)
		if body := page(t, gateway+"/", 200); strings.Contains(body, `class="views"`) || strings.Contains(body, "Not available") {
			t.Errorf("with %v: there are counts, or a line about them", nonsense)
		}
	}
}

// TestViewsAreNotWaitedForTwice takes recommendations away, slowly: the page waits for it once.
func TestViewsAreNotWaitedForTwice(t *testing.T) {
	var asked atomic.Int32
	gateway := start(t, 200*time.Millisecond, services{
		"metadata": library([]string{"1"}, map[string]object{"1": named("1", "One")}),
		"history":  answers(object{}),
		"recommendations": func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			hangs(w, r)
		},
	})
	for i, path := range []string{"/", "/video?id=1", "/video?id=none"} {
		_, _ = do(t, request(t, "GET", gateway+path, nil))
		if n := asked.Load(); n != int32(i+1) {
			t.Errorf("after %s recommendations was asked %d times", path, n)
		}
	}
}

func TestIDsThatNothingHas(t *testing.T) {
	hears := func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.RawQuery, "aaa") {
			t.Errorf("asked for %.20s", r.URL.RawQuery)
		}
		answer(w, object{"videos": []object{named("1", "One"), named(strings.Repeat("a", maxID+1), "Foreign")}, "views": object{"1": 5}})
	}
	gateway := start(t, soon, services{"metadata": hears, "history": hears, "recommendations": hears, "video-streaming": hears})
	long := strings.Repeat("a", maxID+1)
	body := page(t, gateway+"/video?id="+long, 404)
	expect(t, "something else", links(t, body, "next-list"), "/video?id=1 One", "/video?id="+long+" Foreign")
	if !strings.Contains(body, "5 views") {
		t.Error("a video with a long id keeps the others from being counted")
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
	}, "recommendations": func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/views" {
			t.Error("a search asks for recommendations")
		}
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
		if body := page(t, gateway+"/?"+query, 400); strings.Contains(strings.ToLower(body), "skip must") {
			t.Errorf("%s: a viewer is told of skip", query)
		}
	}
}

func TestWatch(t *testing.T) {
	gateway := start(t, soon, services{
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
			if web.Viewer(r.Header) != viewer || r.URL.RawQuery != "limit=25&skip=24" {
				t.Errorf("asked for %s of %q", r.URL, web.Viewer(r.Header))
			}
			answer(w, object{"history": []object{
				{"_id": `a"b`, "videoId": "1", "viewedAt": at, "position": 30, "duration": 60},
				{"videoId": "2"},
				{"videoId": "gone", "viewedAt": at},
				{"videoId": "1", "viewedAt": at, "position": 1, "duration": 60}, // too little for a bar
			}})
		},
	})
	body := page(t, gateway+"/history?skip=24", 200, "Cookie", "viewer="+viewer)
	expect(t, "history", links(t, body, "history-list"), "/video?id=1 One", "/video?id=2 Untitled", "/video?id=1 One")
	if !strings.Contains(body, "no longer here") || !strings.Contains(body, `datetime="2026-05-06T07:08:09Z">07:08 UTC<`) {
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
		{"metadata", "/video?id=", "recommendations, other videos", "404"},
		{"recommendations", "/?q=One", "", `<a href="/video?id=1">`},
		{"history", "/history", "your history", "<h1>History</h1>"},
		{"metadata", "/history", "titles", `<span class="title" dir="auto">Video</span></a>`},
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
			if r.URL.String() != "/position?video=a%26b" || web.Viewer(r.Header) == "" {
				t.Errorf("asked for %s of %q", r.URL, web.Viewer(r.Header))
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

// full is a system in which every page has all of its parts.
func full() services {
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
	return services{
		"metadata": library(ids, videos), "recommendations": answers(object{"recommendations": recommended, "views": views}),
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
			content, _ := files.ReadFile("assets/" + name)
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

func TestErrorPages(t *testing.T) {
	asked := func(_ http.ResponseWriter, r *http.Request) { t.Errorf("asked for %s", r.URL) }
	gateway := start(t, time.Second, services{"metadata": asked, "recommendations": asked, "history": asked})
	for _, path := range []string{"/wp-login.php", "/assets/x/none.js"} {
		if body := page(t, gateway+path, 404); !strings.Contains(body, "There is no such page.") {
			t.Errorf("%s: %s", path, body)
		}
	}
	if res, body := do(t, request(t, "GET", gateway+"/api/none", nil)); res.StatusCode != 404 || body != `{"error":"Not Found"}`+"\n" {
		t.Errorf("/api/none: %s %s", res.Status, body)
	}
	if res, body := do(t, request(t, "DELETE", gateway+"/video", nil)); res.StatusCode != 405 || !strings.Contains(body, "</html>") {
		t.Errorf("DELETE /video: %s %s", res.Status, body)
	}
}
