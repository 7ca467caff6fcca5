//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"flixtube/chassis/chassistest"
)

// inABrowser: somebody uploads two videos through the page, watches them, seeks in the large one, and finds both
// once in the history; to somebody else who watches the first, the other is recommended.
func inABrowser(t *testing.T, s *site) {
	browser := startBrowser(t)
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		chassistest.Missing(t, "ffmpeg (apt install ffmpeg)")
	}
	bigFile, err := s.big()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	smallTitle, bigTitle := unique("A small video"), unique("A big video")
	small, big := filepath.Join(folder, smallTitle+".mp4"), filepath.Join(folder, bigTitle+".mp4")
	if err := errors.Join(os.WriteFile(small, sample(t), 0o600), os.Symlink(bigFile, big)); err != nil {
		t.Fatal(err)
	}

	anna := newPerson(browser, t, *s)
	ids := anna.upload(small, big)
	smallID, bigID := ids[0], ids[1]
	anna.picture("upload")
	anna.findListed(smallID, smallTitle)
	anna.findListed(bigID, bigTitle)
	anna.picture("home")

	// Many have watched a third video, so that it is more popular.
	popularTitle := unique("A popular video")
	popular := newViewer(t, *s)
	popularID := popular.upload(popularTitle, sample(t))
	popular.waitListed(popularID, popularTitle)
	for range 3 {
		newViewer(t, *s).mustWatch(popularID, sample(t))
	}
	otto := newPerson(browser, t, *s)
	before := func(recommended []string, first, second string) error {
		i, j := slices.Index(recommended, first), slices.Index(recommended, second)
		if i < 0 || (j >= 0 && i > j) {
			return fmt.Errorf("%q are recommended, and not %s before %s", recommended, first, second)
		}
		return nil
	}
	otto.recommended(func(all []string) error { return before(all, popularID, bigID) })

	anna.click(smallID)
	anna.plays()
	anna.open("/")
	anna.click(bigID)
	anna.plays()
	anna.picture("watch")
	anna.seeks(60)
	newest := anna.viewer().wantHistory(bigID, smallID)
	anna.open("/history")
	lines := look[[]string](anna, `[...document.querySelectorAll('#history-list li > a[href^="/video?"]')].map(a => a.getAttribute("href"))`)
	if want := []string{videoPage(newest), videoPage(bigID), videoPage(smallID)}; !slices.Equal(lines, want) {
		t.Errorf("the page of the history shows %q, want %q", lines, want)
	}
	anna.picture("history")

	// Who has seen the small one gets to know what else Anna has watched, more popular things later, and nothing twice.
	otto.open(videoPage(smallID))
	otto.plays()
	otto.recommended(func(all []string) error {
		if slices.Contains(all, smallID) {
			return fmt.Errorf("%q are recommended, and %s has been watched", all, smallID)
		}
		return before(all, bigID, popularID)
	})
	for _, p := range []*person{anna, otto} {
		if errs := p.complaints(); len(errs) > 0 {
			t.Errorf("the browser complains: %q", errs)
		}
	}
}

func videoPage(id string) string { return "/video?id=" + id }

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
		chromedp.WSURLReadTimeout(patience),
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

// person has a tab with cookies of their own.
type person struct {
	t    *testing.T
	site site
	tab  context.Context

	mu       sync.Mutex
	ranges   []fetched
	problems []string
}

// fetched is an answer to the player.
type fetched struct {
	query  url.Values
	status int64
	start  int // of the Content-Range
}

func newPerson(browser context.Context, t *testing.T, s site) *person {
	t.Helper()
	tab, closeTab := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(closeTab)
	p := &person{t: t, site: s, tab: tab}
	if err := errors.Join(chromedp.Do(tab), chromedp.Listen(tab, p.note)); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	return p
}

func (p *person) note(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventResponseReceived:
		u, err := url.Parse(e.Response.URL)
		if err != nil || u.Path != "/api/video" {
			return
		}
		f := fetched{query: u.Query(), status: e.Response.Status, start: -1}
		for name, value := range e.Response.Headers {
			if text, ok := value.(string); ok && strings.EqualFold(name, "Content-Range") {
				text, _, _ = strings.Cut(strings.TrimPrefix(text, "bytes "), "-")
				f.start, _ = strconv.Atoi(text)
			}
		}
		p.ranges = append(p.ranges, f)
	case *runtime.EventExceptionThrown:
		p.problems = append(p.problems, fmt.Sprintf("%s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
	case *log.EventEntryAdded:
		// A page that looks whether a video is there yet is told 404 at first.
		if e.Entry.Level == log.EntryLevelError && !strings.Contains(e.Entry.Text, "404") {
			p.problems = append(p.problems, e.Entry.Text+" "+e.Entry.URL)
		}
	}
}

func (p *person) fetched() []fetched {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.ranges)
}

// complaints are errors of scripts, and what the page's own policy has refused.
func (p *person) complaints() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.problems
}

func (p *person) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.tab, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
}

// look returns the value of an expression in the page.
func look[T any](p *person, js string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.tab, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](js))
	if err != nil {
		p.t.Fatalf("%s: %v", js, err)
	}
	return value
}

func (p *person) open(path string) {
	p.t.Helper()
	p.do("open "+path, chromedp.Navigate(p.site.url+path))
}

// recommended opens the home page until what it recommends is right.
func (p *person) recommended(right func(ids []string) error) {
	p.t.Helper()
	waitFor(p.t, "recommendations", func() error {
		p.open("/")
		return right(look[[]string](p, `[...document.querySelectorAll("#recommended-list > div > a")].map(a => a.search.replace("?id=", ""))`))
	})
}

// upload chooses files on the page and returns the ids that the videos get.
func (p *person) upload(files ...string) (ids []string) {
	p.t.Helper()
	p.open("/upload")
	p.do("choose files", chromedp.SetUploadFiles(chromedp.CSS("#upload-form input[type=file]"), files))
	waitFor(p.t, "the uploads are in the library", func() error {
		links := look[[]string](p, `[...document.querySelectorAll("#uploads > li")].map(li => li.querySelector("a")?.getAttribute("href") ?? li.innerText)`)
		ids = nil
		for _, link := range links {
			if id, ok := strings.CutPrefix(link, videoPage("")); ok {
				ids = append(ids, id)
			}
		}
		if len(ids) != len(files) {
			return fmt.Errorf("the page shows %q", links)
		}
		return nil
	})
	return ids
}

// findListed opens the home page and finds the video there, once.
func (p *person) findListed(id, title string) {
	p.t.Helper()
	p.open("/")
	texts := look[[]string](p, fmt.Sprintf(`[...document.querySelectorAll('#video-list > div > a[href="%s"]')].map(a => a.textContent)`, videoPage(id)))
	if len(texts) != 1 || !strings.Contains(texts[0], title) {
		p.t.Errorf("of %s the home page lists %q", title, texts)
	}
}

// click follows the link to a video.
func (p *person) click(id string) {
	p.t.Helper()
	p.do("click", chromedp.Click(chromedp.CSS(fmt.Sprintf(`#video-list a[href="%s"]`, videoPage(id)))),
		chromedp.WaitVisible(chromedp.CSS("video")))
}

// plays starts the video and sees it advance.
func (p *person) plays() {
	p.t.Helper()
	yes := true
	p.do("play", chromedp.Evaluate[chromedp.Void](`document.querySelector("video").play()`, func(e *runtime.EvaluateParams) {
		e.AwaitPromise, e.UserGesture = &yes, &yes
	}))
	p.reaches(0.5)
}

// reaches waits until the video has been played to this second.
func (p *person) reaches(second float64) {
	p.t.Helper()
	waitFor(p.t, "the video plays on", func() error {
		now := look[float64](p, `document.querySelector("video").currentTime`)
		if now < second {
			return fmt.Errorf("it is at second %g, not at %g", now, second)
		}
		return nil
	})
}

// seeks moves to another second, for which the player needs bytes that it does not have, and sees it play on.
func (p *person) seeks(second float64) {
	p.t.Helper()
	before := p.fetched()
	look[chromedp.Void](p, fmt.Sprintf(`document.querySelector("video").currentTime = %g`, second))
	p.reaches(second + 0.5)
	after := p.fetched()
	var further []fetched
	for _, f := range after[len(before):] {
		if f.status == http.StatusPartialContent && f.start > 0 {
			further = append(further, f)
		}
	}
	if len(further) == 0 {
		p.t.Errorf("no further range was fetched after the seek, only %v", after)
	}
	for _, f := range further {
		if view := f.query.Get("view"); view == "" || view != before[len(before)-1].query.Get("view") {
			p.t.Errorf("the player's requests belong to several viewings: %v", after)
		}
	}
}

// viewer speaks HTTP with the person's cookies.
func (p *person) viewer() *viewer {
	p.t.Helper()
	jar, err := chromedp.Call(p.tab, network.GetCookies, network.GetCookiesParams{URLs: []string{p.site.url}})
	if err != nil {
		p.t.Fatalf("look at the cookies: %v", err)
	}
	v := newViewer(p.t, p.site)
	u, err := url.Parse(p.site.url)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, c := range jar.Cookies {
		v.http.Jar.SetCookies(u, []*http.Cookie{{Name: c.Name, Value: c.Value, Path: c.Path}})
	}
	return v
}

// picture saves what is to be seen, if pictures are wanted.
func (p *person) picture(name string) {
	p.t.Helper()
	folder := screenshots()
	if folder == "" {
		return
	}
	png, err := chromedp.Run(p.tab, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatalf("take a picture: %v", err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), png, 0o644); err != nil {
		p.t.Error(err)
	}
}
