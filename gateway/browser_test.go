package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"flixtube/chassis/chassistest"
	"flixtube/contracts/codes"
	"flixtube/gateway/internal/services"
)

// startBrowser starts a Chromium with a fresh profile and stops it at the end of the test.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chassistest.Chromium(t)),
		chromedp.NoSandbox, // for root, and in containers; it sees our own pages alone
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("mute-audio", true),
		chromedp.Env("HOME="+t.TempDir()), // not every user has one
		chromedp.WSURLReadTimeout(3*soon),
		chromedp.WindowSize(1280, 800),
	)
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, closeBrowser := chromedp.NewContext(ctx)
	t.Cleanup(closeBrowser)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	return ctx
}

// tab is one viewer's, with its own cookies. Errors of scripts and violations of the page's policy fail the test.
type tab struct {
	t        *testing.T
	ctx      context.Context
	gateway  string
	expected *[]string // parts of the errors that the test causes
}

func newTab(browser context.Context, t *testing.T, gateway string) tab {
	t.Helper()
	ctx, closeTab := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(closeTab)
	var mu sync.Mutex
	var problems []string
	err := errors.Join(chromedp.Do(ctx), chromedp.Listen(ctx, func(event any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			problems = append(problems, fmt.Sprintf("%s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
		case *log.EventEntryAdded:
			if e.Entry.Level == log.EntryLevelError {
				problems = append(problems, e.Entry.Text+" "+e.Entry.URL)
			}
		}
	}))
	if err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	var expected []string
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		for _, problem := range problems {
			if !slices.ContainsFunc(expected, func(words string) bool { return strings.Contains(problem, words) }) {
				t.Errorf("the browser complains: %s", problem)
			}
		}
	})
	return tab{t, ctx, gateway, &expected}
}

// expectErrors names errors that the test causes on purpose, by a part of each.
func (b tab) expectErrors(parts ...string) { *b.expected = append(*b.expected, parts...) }

func (b tab) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 3*soon)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// speaks sets the viewer's language, for the pages that are opened next.
func (b tab) speaks(language string) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: "test", AcceptLanguage: language}); err != nil {
		b.t.Fatal(err)
	}
}

func (b tab) livesIn(zone string) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: zone}); err != nil {
		b.t.Fatal(err)
	}
}

func (b tab) open(path string) {
	b.t.Helper()
	b.do("open "+path, chromedp.Navigate(b.gateway+path))
}

func (b tab) keys(keys string) {
	b.t.Helper()
	b.do("press "+keys, chromedp.KeyEvent(keys))
}

// until waits for an expression of the page to be true.
func (b tab) until(js string) {
	b.t.Helper()
	err := chassistest.Poll(3*soon, func() error {
		ctx, cancel := context.WithTimeout(b.ctx, soon)
		defer cancel()
		got, err := chromedp.Run(ctx, chromedp.Evaluate[bool](js))
		if err == nil && !got {
			err = errors.New("it is not so")
		}
		return err
	})
	if err != nil {
		page, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`))
		b.t.Fatalf("%s: %v\n%s", js, err, page)
	}
}

// playing is a library of one video that has bytes, and a history that keeps its position.
type playing struct {
	mu     sync.Mutex
	saved  []services.Position
	views  atomic.Int32 // requests for bytes
	broken atomic.Bool
	hung   atomic.Pointer[chan struct{}] // if not nil, GET and HEAD wait for it
	ends   atomic.Int64                  // if not 0, bytes after which the connection breaks
	full   atomic.Bool                   // history rejects positions

	content []byte // of the video, instead of a sample's
}

func (p *playing) last() (services.Position, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.saved) == 0 {
		return services.Position{}, 0
	}
	return p.saved[len(p.saved)-1], len(p.saved)
}

func (p *playing) start(t *testing.T) (gateway string) {
	t.Helper()
	samples, err := filepath.Glob("../flixtube/samples/*.mp4")
	if err != nil || len(samples) == 0 {
		chassistest.Missing(t, "a sample video (scripts/make-samples)")
	}
	content, err := os.ReadFile(samples[0])
	if err != nil {
		t.Fatal(err)
	}
	if p.content != nil {
		content = p.content
	}
	return start(t, soon, fakes{
		"metadata": library([]string{"a&b", "2"}, map[string]object{
			"a&b": named("a&b", "One"), "2": {"_id": "2", "name": "Two", "poster": true},
		}),
		"recommendations": answers(object{"recommendations": []object{}}),
		"history": func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut {
				if p.full.Load() {
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				}
				body, _ := io.ReadAll(r.Body)
				at := services.Position{VideoID: r.FormValue("video")}
				if err := json.Unmarshal(body, &at); err != nil {
					t.Errorf("saved: %v", err)
				}
				p.mu.Lock()
				p.saved = append(p.saved, at)
				p.mu.Unlock()
				w.WriteHeader(http.StatusNoContent)
				return
			}
			if at, n := p.last(); n > 0 {
				answer(w, object{"position": at, "positions": []services.Position{at}})
				return
			}
			refuse(w, http.StatusNotFound, codes.PositionNotFound)
		},
		"video-streaming": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/poster" {
				http.ServeFile(w, r, strings.TrimSuffix(samples[0], "mp4")+"jpg")
				return
			}
			if r.Method == http.MethodGet {
				p.views.Add(1)
			}
			if hung := p.hung.Load(); hung != nil {
				select {
				case <-*hung:
				case <-r.Context().Done():
				}
			}
			if p.broken.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			w.Header().Set("Content-Type", "video/mp4")
			var whole io.ReadSeeker = bytes.NewReader(content)
			if ends := p.ends.Load(); ends > 0 {
				whole = &breaking{whole, ends}
			}
			http.ServeContent(w, r, "", time.Unix(1700000000, 0), whole)
		},
	})
}

// breaking fails at one place of a file.
type breaking struct {
	io.ReadSeeker
	place int64
}

func (b *breaking) Read(p []byte) (int, error) {
	at, err := b.Seek(0, io.SeekCurrent)
	if err != nil || at >= b.place {
		panic(http.ErrAbortHandler)
	}
	return b.ReadSeeker.Read(p[:min(int64(len(p)), b.place-at)])
}

const player = `document.getElementById("player")`

func TestBrowserKeysAndResume(t *testing.T) {
	p := &playing{}
	b := newTab(startBrowser(t), t, p.start(t))
	b.open("/video?id=a%26b")
	if n := p.views.Load(); n != 0 {
		t.Errorf("%d requests for bytes before anybody plays: it would count as a view", n)
	}
	b.keys("k")
	b.until(player + `.currentTime > 0.3 && !` + player + `.paused`)
	b.keys(" ")
	b.until(player + `.paused`)
	b.keys("5")
	b.until(`Math.abs(` + player + `.currentTime - ` + player + `.duration / 2) < 0.1`)
	b.keys("j")
	b.until(`Math.abs(` + player + `.currentTime - Math.max(0, ` + player + `.duration / 2 - 10)) < 0.1`)
	b.keys("0")
	for _, press := range []struct {
		key string
		to  int
	}{{kb.ArrowRight, 5}, {"l", 15}, {kb.ArrowLeft, 10}, {"j", 0}} {
		b.keys(press.key)
		b.until(fmt.Sprintf(`Math.abs(%s.currentTime - Math.min(%d, %[1]s.duration)) < 0.1`, player, press.to))
	}
	b.keys("f")
	b.until(`document.fullscreenElement === ` + player)
	b.keys("f")
	b.until(`document.fullscreenElement === null`)
	b.keys("m")
	b.until(player + `.muted`)
	b.do("search", chromedp.Focus(chromedp.CSS(".search input")))
	b.keys("mk1")
	b.until(`document.querySelector(".search input").value === "mk1" && ` + player + `.paused && ` + player + `.muted`)
	b.do("choose a speed", chromedp.Evaluate[chromedp.Void](`{ const s = document.getElementById("speed"); s.value = "1.5"; s.dispatchEvent(new Event("change")); }`))
	b.until(player + `.playbackRate === 1.5`)

	b.do("leave focus", chromedp.Evaluate[chromedp.Void](`document.activeElement.blur()`))
	b.keys("4")
	b.until(`Math.abs(` + player + `.currentTime - 0.4 * ` + player + `.duration) < 0.1`)
	b.open("/history") // saved as the page is left
	err := chassistest.Poll(soon, func() error {
		if at, _ := p.last(); at.VideoID != "a&b" || at.Percent() != 40 {
			return fmt.Errorf("saved %+v", at)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	b.open("/")
	b.until(`document.querySelector("#continue-list progress").value === 40`)
	b.do("continue", chromedp.Click(chromedp.CSS("#continue-list a")))
	b.until(`location.pathname === "/video" && document.readyState === "complete"`)
	b.until(player + `.currentTime >= 0.4 * ` + player + `.duration && !` + player + `.paused`) // a card plays at once
	b.open("/video?id=a%26b&t=1")
	b.press(false)
	b.until(player + `.currentTime >= 1 && ` + player + `.currentTime < 0.3 * ` + player + `.duration`)
	b.keys("k")
	b.do("copy the link", chromedp.Click(chromedp.CSS("#copy")))
	b.until(`/\/video\?id=a%26b&t=\d+$/.test(document.getElementById("said").textContent)`)
}

// TestBrowserKeysOfThePlayer: the player's own buttons get the keys while they have the focus. A key that is held down toggles
// only once.
func TestBrowserKeysOfThePlayer(t *testing.T) {
	p := &playing{}
	b := newTab(startBrowser(t), t, p.start(t))
	b.open("/video?id=a%26b")
	b.press(false)
	b.until(player + `.currentTime > 0.3`)
	b.do("go to the player", chromedp.Focus(chromedp.CSS("#player")))
	for range 6 {
		b.keys("\t ")
		if look(b, `String(`+player+`.muted)`) == "true" {
			break
		}
	}
	b.until(player + `.muted`)

	if look(b, `String(`+player+`.paused)`) == "true" { // by its first button
		b.press(false)
	}
	b.do("leave the player", chromedp.Evaluate[chromedp.Void](player+`.blur(); `+player+`.muted = false`))
	b.until(`!` + player + `.paused`)
	press := func(key string, repeat bool) {
		t.Helper()
		b.do("press "+key, chromedp.Evaluate[chromedp.Void](fmt.Sprintf(
			`document.body.dispatchEvent(new KeyboardEvent("keydown", { key: %q, repeat: %t, bubbles: true, cancelable: true }))`, key, repeat)))
	}
	for _, key := range []string{" ", "k"} {
		press(key, false)
		press(key, true)
		b.until(player + `.paused`)
		press(key, false)
		b.until(`!` + player + `.paused`)
	}
	press("m", false)
	press("m", true)
	b.until(player + `.muted`)
}

// TestBrowserBeforePlaying: a video that is not loaded yet has a position, where it will start.
func TestBrowserBeforePlaying(t *testing.T) {
	p := &playing{}
	b := newTab(startBrowser(t), t, p.start(t))
	b.open("/video?id=a%26b&t=2")
	b.do("copy the link", chromedp.Click(chromedp.CSS("#copy")))
	b.until(`document.getElementById("said").textContent.endsWith("&t=2")`)
	b.keys(kb.ArrowLeft + "lk")
	b.until(player + `.played.length > 0 && Math.abs(` + player + `.played.start(0) - 2) < 0.1`)
}

// TestBrowserPositionRejected: a position that the server rejected is sent again.
func TestBrowserPositionRejected(t *testing.T) {
	p := &playing{}
	p.full.Store(true)
	b := newTab(startBrowser(t), t, p.start(t))
	b.expectErrors("status of 502", "status of 503")
	b.open("/video?id=a%26b&t=4")
	b.press(false)
	b.until(player + `.currentTime > 4.3`)
	b.press(false)
	b.until(player + `.paused && performance.getEntriesByType("resource").some((e) => e.name.includes("/api/position") && e.responseEnd > 0)`)
	p.full.Store(false)
	b.open("/history")
	if err := chassistest.Poll(soon, func() error {
		if at, _ := p.last(); at.VideoID != "a&b" || at.Position < 4.3 {
			return fmt.Errorf("saved %+v", at)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

const trouble = `document.getElementById("trouble")`

// TestBrowserStoreHangs: the page reports a store that does not answer.
func TestBrowserStoreHangs(t *testing.T) {
	p := &playing{}
	hung := make(chan struct{})
	p.hung.Store(&hung)
	b := newTab(startBrowser(t), t, p.start(t))
	b.expectErrors("status of 50", "net::ERR_")
	b.open("/video?id=a%26b")
	b.press(false)
	b.until(trouble + `.innerText.includes("Trying again in")`)
	p.hung.Store(nil)
	b.until(player + `.currentTime > 0.3 && ` + trouble + `.hidden`)
}

// TestBrowserFailsWhilePaused: a paused video that fails is loaded again but not started.
func TestBrowserFailsWhilePaused(t *testing.T) {
	p := &playing{}
	b := newTab(startBrowser(t), t, p.start(t))
	b.open("/video?id=a%26b")
	b.press(false)
	b.until(player + `.currentTime > 0.3`)
	b.press(false)
	b.until(player + `.paused`)
	b.do("fail", chromedp.Evaluate[chromedp.Void](`globalThis.emptied = false;
		`+player+`.addEventListener("emptied", () => (emptied = true));
		`+player+`.dispatchEvent(new Event("error"))`))
	b.until(`emptied && ` + player + `.paused && ` + trouble + `.hidden`)
	b.press(false)
	b.until(player + `.currentTime > 0.3`)
}

// TestBrowserVideoFailsAtOnePlace: a video that fails at the same place each time is requested again after a delay.
func TestBrowserVideoFailsAtOnePlace(t *testing.T) {
	p := &playing{}
	p.ends.Store(600_000)
	b := newTab(startBrowser(t), t, p.start(t))
	b.expectErrors("status of 50", "net::ERR_")
	b.open("/video?id=a%26b")
	b.press(false)
	b.until(trouble + `.innerText.includes("Trying again in 5 s")`)
	p.ends.Store(0)
	b.until(player + `.currentTime > 3 && ` + trouble + `.hidden`)
}

func TestBrowserStoreDown(t *testing.T) {
	p := &playing{}
	p.broken.Store(true)
	b := newTab(startBrowser(t), t, p.start(t))
	b.expectErrors("status of 503")
	b.open("/video?id=a%26b&t=1")
	b.press(false)
	b.until(`document.getElementById("trouble").innerText.includes("Trying again in")`)
	p.broken.Store(false)
	b.until(player + `.currentTime > 1 && document.getElementById("trouble").hidden`)
}

func TestBrowserSearch(t *testing.T) {
	gateway := start(t, soon, fakes{
		"metadata": func(w http.ResponseWriter, r *http.Request) {
			videos := map[string]object{"1": named("1", "여름"), "2": named("2", "Two")}
			ids := []string{"2", "1"}
			if search := r.FormValue("search"); search != "" && strings.Contains("여름", search) {
				ids = ids[1:]
			}
			library(ids, videos)(w, r)
		},
		"recommendations": answers(object{"recommendations": []object{}}), "history": answers(object{}),
	})
	b := newTab(startBrowser(t), t, gateway)
	b.open("/")
	b.until(`document.querySelectorAll("#video-list > div > a").length === 2`)
	b.do("type", chromedp.SendKeys(chromedp.CSS(".search input"), "여름"))
	b.until(`document.querySelectorAll("#video-list > div > a").length === 1 && document.title.startsWith("여름")`)
	b.until(`location.search === "?q=" + encodeURIComponent("여름") && document.activeElement.name === "q"`)
	b.open("/?skip=24")
	b.do("type", chromedp.SendKeys(chromedp.CSS(".search input"), "여름"))
	b.until(`location.search === "?q=" + encodeURIComponent("여름")`)
	b.keys("\b\b")
	b.until(`location.search === "?skip=24" && document.querySelectorAll("#video-list > div > a").length === 2`)
	b.open("/?q=" + url.QueryEscape("여름"))
	b.open("/video?id=1")
	b.do("go back", chromedp.Evaluate[chromedp.Void](`history.back()`))
	b.until(`document.querySelectorAll("#video-list > div > a").length === 1 && document.querySelector(".search input").value === "여름"`)
}

// TestBrowserFacts: times are in the viewer's time zone and language, and so are the days of the history.
func TestBrowserFacts(t *testing.T) {
	now := time.Now().UTC()
	// In Seoul these are the morning and the evening of one day. In UTC, and so for the history, they are on two.
	morning := time.Date(now.Year()-1, 7, 9, 20, 30, 0, 0, time.UTC)
	evening := morning.Add(14 * time.Hour)
	fact := named("1", "One")
	fact["uploadedAt"] = now.Add(-(3*24 + 1) * time.Hour)
	gateway := start(t, soon, fakes{
		"metadata": library([]string{"1"}, map[string]object{"1": fact}),
		"recommendations": func(w http.ResponseWriter, r *http.Request) {
			answer := object{"recommendations": []object{}}
			if r.URL.Path == "/views" {
				answer = object{"views": object{"1": 1234567}}
			}
			answers(answer)(w, r)
		},
		"history": answers(object{"history": []object{
			{"_id": "a", "videoId": "1", "viewedAt": now},
			{"_id": "b", "videoId": "1", "viewedAt": evening},
			{"_id": "c", "videoId": "1", "viewedAt": morning},
		}}),
	})
	browser := startBrowser(t)
	for _, viewer := range []struct{ language, zone, age, views, today, days, clock string }{
		{"en-GB", "Europe/London", "3 days ago", "1.2m views", "Today", "1,1,1", "11:30"},
		{"en-US", "America/New_York", "3 days ago", "1.2M views", "Today", "1,1,1", "6:30 AM"},
		{"ko-KR", "Asia/Seoul", "3일 전", "조회수 123만회", "오늘", "1,1", "오후 7:30"},
	} {
		b := newTab(browser, t, gateway)
		b.livesIn(viewer.zone)
		b.speaks(viewer.language)
		b.open("/")
		b.until(fmt.Sprintf(`document.querySelector(".facts time").innerText === %q && document.querySelector(".views").innerText === %q`, viewer.age, viewer.views))
		b.open("/history")
		b.until(fmt.Sprintf(`document.querySelector(".day").innerText === %q && [...document.querySelectorAll("ol")].map((ol) => ol.children.length).join() === %q`, viewer.today, viewer.days))
		b.until(fmt.Sprintf(`document.querySelectorAll("time.when")[1].innerText.replace(/\s/g, " ") === %q`, viewer.clock))
	}
}

func TestBrowserHistory(t *testing.T) {
	var mu sync.Mutex
	now := time.Now()
	var lines []object
	videos := map[string]object{}
	for i := range 24 + 2 {
		id, at := strconv.Itoa(i), now
		if i >= 2 {
			at = now.AddDate(0, 0, -3)
		}
		videos[id] = named(id, "One")
		lines = append(lines, object{"_id": "view" + id, "videoId": id, "viewedAt": at})
	}
	asked, failing := 0, false
	gateway := start(t, soon, fakes{
		"metadata": library(nil, videos),
		"history": func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if r.Method == http.MethodDelete && failing {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			if r.Method == http.MethodDelete {
				asked++
				var rest []object
				for _, line := range lines {
					if id := r.FormValue("id"); id != "" && line["_id"] != id {
						rest = append(rest, line)
					}
				}
				lines = rest
				w.WriteHeader(http.StatusNoContent)
				return
			}
			answer(w, object{"history": lines})
		},
	})
	b := newTab(startBrowser(t), t, gateway)
	b.open("/history")
	b.until(`document.querySelectorAll("#history-list > ol").length === 2 && document.querySelector(".day").innerText === "Today"`)
	const one = `document.querySelector("#history-list li:first-child button")`
	b.do("remove one, by two clicks", chromedp.Evaluate[chromedp.Void](`{ const button = `+one+`; button.click(); button.click(); }`))
	b.until(one + ` === document.activeElement && document.querySelectorAll("#history-list > ol:first-of-type > li").length === 1`)
	b.until(fmt.Sprintf(`document.querySelectorAll("#history-list li").length === %d && !!document.querySelector(".pager a")`, 24))
	b.do("remove one more", chromedp.Click(chromedp.CSS("#history-list li:first-child button")))
	b.until(fmt.Sprintf(`document.querySelectorAll("#history-list li").length === %d && document.querySelector(".pager a") === null`, 24))
	mu.Lock()
	if asked != 2 || len(lines) != 24 {
		t.Errorf("two lines were removed by asking %d times, %d are left", asked, len(lines))
	}
	failing = true
	mu.Unlock()
	b.expectErrors("status of 50")
	b.do("remove one that stays", chromedp.Click(chromedp.CSS("#history-list li:first-child button")))
	b.until(`document.querySelector(".error .status")?.innerText.startsWith("50")`)
	mu.Lock()
	failing = false
	mu.Unlock()
	b.open("/history")
	b.do("clear", chromedp.Click(chromedp.CSS(`a[href="/history/clear"]`)))
	b.until(`location.pathname === "/history/clear" && document.readyState === "complete"`)
	b.do("yes", chromedp.Click(chromedp.CSS("main button")))
	b.until(`location.pathname === "/history" && !!document.querySelector(".empty")`)
}

// TestBrowserHistoryFolded: a line that stands for two of the server's removes both.
func TestBrowserHistoryFolded(t *testing.T) {
	var mu sync.Mutex
	evening := time.Date(2025, 7, 10, 10, 30, 0, 0, time.UTC) // in Seoul, where the third is from the morning of that day
	lines := []object{
		{"_id": "a", "videoId": "1", "viewedAt": evening, "position": 30, "duration": 60},
		{"_id": "b", "videoId": "2", "viewedAt": evening.Add(-time.Hour)},
		{"_id": "c", "videoId": "1", "viewedAt": evening.Add(-14 * time.Hour), "position": 30, "duration": 60},
	}
	gateway := start(t, soon, fakes{
		"metadata": library(nil, map[string]object{"1": named("1", "One"), "2": named("2", "Two")}),
		"history": func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if r.Method == http.MethodDelete {
				lines = slices.DeleteFunc(lines, func(line object) bool { return line["_id"] == r.FormValue("id") })
				w.WriteHeader(http.StatusNoContent)
				return
			}
			answer(w, object{"history": lines})
		},
	})
	b := newTab(startBrowser(t), t, gateway)
	b.livesIn("Asia/Seoul")
	b.open("/history")
	b.until(`[...document.querySelectorAll("#history-list li .title")].map((e) => e.innerText).join() === "One,Two"`)
	b.do("remove the first line", chromedp.Click(chromedp.CSS("#history-list li:first-child button")))
	b.until(`[...document.querySelectorAll("#history-list li .title")].map((e) => e.innerText).join() === "Two"`)
	mu.Lock()
	defer mu.Unlock()
	if len(lines) != 1 || lines[0]["_id"] != "b" {
		t.Errorf("left: %v", lines)
	}
}
