package main

import (
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"flixtube/chassis/web"
)

func TestHistory(t *testing.T) {
	viewer := strings.Repeat("v", 32)
	at := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	var lookups atomic.Int32
	gateway := start(t, soon, fakes{
		"metadata": func(w http.ResponseWriter, r *http.Request) {
			lookups.Add(1)
			library(nil, map[string]object{"1": named("1", "One"), "2": named("2", "")})(w, r)
		},
		"history": func(w http.ResponseWriter, r *http.Request) {
			if web.Viewer(r.Header) != viewer || r.URL.RawQuery != "by=day&limit=25&skip=24" {
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
	body := page(t, gateway+"/history?skip=24", 200, "Cookie", cookie(viewer))
	expect(t, "history", links(t, body, "history-list"), "/video?id=1 One", "/video?id=2 Untitled", "/video?id=1 One")
	if !strings.Contains(body, "no longer available") || !strings.Contains(body, `datetime="2026-05-06T07:08:09Z">07:08 UTC<`) {
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
	expect(t, "days", days, "6 May 2026", "No date", "6 May 2026")
	if !strings.Contains(body, `value="50" aria-label="50 % watched"`) || strings.Count(body, "<progress") != 1 {
		t.Error("the bar is missing")
	}
	if !strings.Contains(body, `name="id" value="a&#34;b"><input type="hidden" name="back" value="/history?skip=24">`) {
		t.Errorf("the line cannot be removed:\n%s", body)
	}
	page(t, gateway+"/history?skip=-1", 400)
}
