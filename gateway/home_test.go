package main

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"flixtube/contracts/limits"
)

func TestHome(t *testing.T) {
	hostile := `a"><b>&id=../ ü`
	videos := map[string]object{
		"1": named("1", `<script>alert(1)</script> & "quotes"`), "2": named("2", "서울 \u202emp4"), "3": {"_id": "3"},
		"4": {"_id": "4", "name": 7, "owner": object{"x": 1}, "uploadedAt": "yesterday"}, "5": {"name": "no id"}, hostile: named(hostile, "Hostile"),
	}
	gateway := start(t, soon, fakes{
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
		"recommendations": answers(object{"recommendations": []object{{"videoId": "2"}, {"videoId": "gone"}, {"videoId": "1"}}, "known": true}),
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

// TestNewViewer: to a viewer about whom nothing is known no video is recommended, on a page that shows all of them as the newest.
func TestNewViewer(t *testing.T) {
	gateway := start(t, soon, fakes{
		"metadata":        library([]string{"1"}, map[string]object{"1": named("1", "One")}),
		"recommendations": answers(object{"recommendations": []object{{"videoId": "1"}}, "known": false}),
	})
	if body := page(t, gateway+"/", 200); strings.Contains(body, "recommended") || !strings.Contains(body, "One") {
		t.Errorf("the page of a new viewer:\n%s", body)
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
	asked := make(chan string, 1)
	views := object{"views": object{"1": 1, "2": 1234, "3": 0, "gone": 3}}
	gateway := start(t, soon, fakes{
		"metadata": library(ids, videos),
		"recommendations": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/views" {
				select {
				case asked <- r.URL.RawQuery:
				default:
				}
				answer(w, views)
				return
			}
			answer(w, object{"recommendations": []object{{"videoId": "2"}}, "known": true})
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
	if got := within(t, "the first look-up of counts", asked); got != "id=1&id=2&id=3&id=4&id=5&id=6" {
		t.Errorf("asked for %q", got)
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
}

// TestCountsAreNonsense: a page goes without counts that cannot be understood.
func TestCountsAreNonsense(t *testing.T) {
	for _, nonsense := range []any{object{}, object{"views": 7}, "?", nil} {
		gateway := start(t, soon, fakes{
			"metadata": library([]string{"1"}, map[string]object{"1": named("1", "One")}),
			"history":  answers(object{}),
			"recommendations": func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/views" {
					answer(w, nonsense)
					return
				}
				answer(w, object{"recommendations": []object{}})
			},
		})
		if body := page(t, gateway+"/", 200); strings.Contains(body, `class="views"`) || strings.Contains(body, "Not available") {
			t.Errorf("with %v: there are counts, or a line about them", nonsense)
		}
	}
}

// TestOwnChangesAreSeen: an owner sees at once what another gateway has changed, though this one remembers the video.
func TestOwnChangesAreSeen(t *testing.T) {
	ann := strings.Repeat("a", 32)
	var name atomic.Value // "" if it is removed
	name.Store("Before")
	gateway := start(t, soon, fakes{
		"metadata": func(w http.ResponseWriter, r *http.Request) {
			videos := map[string]object{}
			if now := name.Load().(string); now != "" {
				videos["1"] = named("1", now)
				videos["1"]["owner"] = ann
			}
			library([]string{"1"}, videos)(w, r)
		},
		"history": answers(object{}), "recommendations": answers(object{}),
	})
	open := func(path string, status int) string {
		t.Helper()
		return page(t, gateway+path, status, "Cookie", cookie(ann))
	}
	for _, now := range []string{"Before", "Renamed once"} {
		name.Store(now)
		for _, path := range []string{"/", "/video?id=1"} {
			if body := open(path, http.StatusOK); !strings.Contains(body, now) {
				t.Errorf("%s has not %q: %s", path, now, body)
			}
		}
	}
	name.Store("")
	if body := open("/", http.StatusOK); strings.Contains(body, "Renamed once") {
		t.Errorf("the removed video is listed: %s", body)
	}
	open("/video?id=1", http.StatusNotFound)
}

// TestViewsAreNotWaitedForTwice: while recommendations hangs, a page waits for it once.
func TestViewsAreNotWaitedForTwice(t *testing.T) {
	var asked atomic.Int32
	gateway := start(t, 200*time.Millisecond, fakes{
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
		answer(w, object{"videos": []object{named("1", "One"), named(strings.Repeat("a", limits.ID+1), "Foreign")}, "views": object{"1": 5}})
	}
	gateway := start(t, soon, fakes{"metadata": hears, "history": hears, "recommendations": hears, "video-streaming": hears})
	long := strings.Repeat("a", limits.ID+1)
	body := page(t, gateway+"/video?id="+long, 404)
	expect(t, "something else", links(t, body, "next-list"), "/video?id=1 One", "/video?id="+long+" Foreign")
	if !strings.Contains(body, "5 views") {
		t.Error("a video with a long id keeps the others from being counted")
	}
}

func TestSearchAndPaging(t *testing.T) {
	var asked url.Values
	gateway := start(t, soon, fakes{"metadata": func(w http.ResponseWriter, r *http.Request) {
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
	for _, query := range []string{"skip=-1", "skip=x", "q=%ff", "q=" + strings.Repeat("a", 101)} {
		if body := page(t, gateway+"/?"+query, 400); strings.Contains(strings.ToLower(body), "skip must") {
			t.Errorf("%s: a viewer is told of skip", query)
		}
	}
}
