package main

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"flixtube/chassis/web"
)

func TestPosition(t *testing.T) {
	var got string
	gateway := start(t, time.Second, fakes{"metadata": library(nil, map[string]object{"a&b": {}}), "history": func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = r.Method + " " + r.URL.String() + " " + web.Viewer(r.Header) + " " + string(body)
		w.WriteHeader(http.StatusNoContent)
	}})
	viewer := strings.Repeat("v", 32)
	req := request(t, "POST", gateway+"/api/position?video=a%26b", strings.NewReader(`{"position":1,"duration":2}`),
		"Cookie", cookie(viewer), "Content-Type", "application/json", "Origin", gateway)
	if res, body := do(t, req); res.StatusCode != 204 || got != "PUT /position?video=a%26b "+viewer+` {"position":1,"duration":2}` {
		t.Errorf("%s %s; history got %s", res.Status, body, got)
	}
	if res, _ := do(t, request(t, "GET", gateway+"/api/position?video=x", nil)); res.StatusCode != 405 {
		t.Errorf("GET: %s", res.Status)
	}
}

// TestPositionOfNoVideo: positions are saved only in videos that exist. Metadata is asked once for each of those, and need not
// be there afterwards.
func TestPositionOfNoVideo(t *testing.T) {
	var mu sync.Mutex
	asked, saved, down := map[string]int{}, map[string]int{}, false
	count := func(counts map[string]int, id string) {
		mu.Lock()
		defer mu.Unlock()
		counts[id]++
	}
	videos := library(nil, map[string]object{"film": {}})
	gateway := start(t, time.Second, fakes{
		"metadata": func(w http.ResponseWriter, r *http.Request) {
			count(asked, r.FormValue("id"))
			if down {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			videos(w, r)
		},
		"history": func(w http.ResponseWriter, r *http.Request) {
			count(saved, r.FormValue("video"))
			w.WriteHeader(http.StatusNoContent)
		},
	})
	save := func(video string) (int, string) {
		t.Helper()
		res, body := do(t, request(t, "POST", gateway+"/api/position?video="+video, strings.NewReader(`{"position":1,"duration":2}`),
			"Cookie", cookie(strings.Repeat("v", 32))))
		return res.StatusCode, body
	}
	for range 3 {
		if status, body := save("film"); status != 204 {
			t.Errorf("a video: %d %s", status, body)
		}
		if status, body := save("none"); status != 404 || !strings.Contains(body, `"code":"video_not_found"`) {
			t.Errorf("no video: %d %s", status, body)
		}
	}
	down = true
	if status, _ := save("film"); status != 204 {
		t.Errorf("a video, without metadata: %d", status)
	}
	if status, body := save("other"); status != 502 || !strings.Contains(body, `"code":"no_answer"`) {
		t.Errorf("another video, without metadata: %d %s", status, body)
	}
	if asked["film"] != 1 || saved["film"] != 4 || len(saved) != 1 {
		t.Errorf("asked for %v, saved %v", asked, saved)
	}
}
