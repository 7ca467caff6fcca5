//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"flixtube/chassis/chassistest"
)

// startBrowser starts a Chromium with a fresh profile and stops it at the end of the test.
func startBrowser(t *testing.T) (context.Context, error) {
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
	)
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, closeBrowser := chromedp.NewContext(ctx)
	t.Cleanup(closeBrowser)
	return ctx, chromedp.Do(ctx)
}

// person has a tab with cookies of their own. Errors of scripts, and what the page's own policy refuses, fail
// the test.
type person struct {
	t     *testing.T
	site  site
	tab   context.Context
	size  size
	theme string

	mu       sync.Mutex
	loads    []*load
	problems []string
	bears    []string // words of problems that are none here
}

// load is something that the browser asked for.
type load struct {
	id     network.RequestID
	method string
	url    *url.URL
	sent   http.Header
	status int64 // 0 until there is an answer
	start  int   // of its Content-Range
	cached bool
	bytes  float64 // transferred
}

// size is that of a window, in CSS pixels.
type size struct{ width, height int64 }

var (
	phone  = size{360, 740}
	laptop = size{1280, 800}
	wide   = size{1920, 1080}
)

const (
	light = "light"
	dark  = "dark"
)

// newPerson opens a tab that is as large as a laptop's, light, and English.
func newPerson(t *testing.T, s *site) *person {
	t.Helper()
	chassistest.Chromium(t) // what is missing skips this test alone
	browser, err := s.browser()
	if err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	tab, closeTab := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(closeTab)
	p := &person{t: t, site: *s, tab: tab}
	if err := errors.Join(chromedp.Do(tab), chromedp.Listen(tab, p.note)); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			p.picture(strings.ReplaceAll(t.Name(), "/", "_"), "failed")
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.problems) > 0 {
			t.Errorf("the browser complains: %q", p.problems)
		}
	})
	p.speaks("en")
	p.looks(laptop, light)
	return p
}

func (p *person) note(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		u, err := url.Parse(e.Request.URL)
		if err == nil {
			p.loads = append(p.loads, &load{id: e.RequestID, method: e.Request.Method, url: u, sent: httpHeader(e.Request.Headers), start: -1})
		}
	case *network.EventResponseReceived:
		if l := p.load(e.RequestID); l != nil {
			l.status, l.cached = e.Response.Status, l.cached || e.Response.FromDiskCache
			part, _, _ := strings.Cut(strings.TrimPrefix(httpHeader(e.Response.Headers).Get("Content-Range"), "bytes "), "-")
			if start, err := strconv.Atoi(part); err == nil {
				l.start = start
			}
		}
	case *network.EventRequestServedFromCache:
		if l := p.load(e.RequestID); l != nil {
			l.cached = true
		}
	case *network.EventLoadingFinished:
		if l := p.load(e.RequestID); l != nil {
			l.bytes = e.EncodedDataLength
		}
	case *runtime.EventExceptionThrown:
		p.complain(fmt.Sprintf("%s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			p.complain(e.Entry.Text + " " + e.Entry.URL)
		}
	}
}

func httpHeader(headers network.Headers) http.Header {
	h := http.Header{}
	for name, value := range headers {
		if text, ok := value.(string); ok {
			h.Set(name, text)
		}
	}
	return h
}

// load returns the last one of that id: a redirect keeps its.
func (p *person) load(id network.RequestID) *load {
	for _, l := range slices.Backward(p.loads) {
		if l.id == id {
			return l
		}
	}
	return nil
}

func (p *person) complain(problem string) {
	for _, word := range p.bears {
		if strings.Contains(problem, word) {
			return
		}
	}
	p.problems = append(p.problems, problem)
}

// bear lets the browser complain of something that the test does on purpose.
func (p *person) bear(words ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bears = append(p.bears, words...)
}

// loaded returns what was asked for under a path so far.
func (p *person) loaded(path string) (found []load) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.loads {
		if strings.HasPrefix(l.url.Path, path) {
			found = append(found, *l)
		}
	}
	return found
}

func (p *person) forgetLoads() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.loads = nil
}

func (p *person) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.tab, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
}

// tell gives the browser a command of its protocol.
func tell[P, R any](p *person, command cdp.Command[P, R], params P) {
	p.t.Helper()
	if _, err := chromedp.Call(p.tab, command, params); err != nil {
		p.t.Fatalf("tell the browser %+v: %v", params, err)
	}
}

// see is the value of an expression in the page.
func see[T any](p *person, js string) (T, error) {
	ctx, cancel := context.WithTimeout(p.tab, patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
}

func look[T any](p *person, js string) T {
	p.t.Helper()
	value, err := see[T](p, js)
	if err != nil {
		p.t.Fatalf("%s: %v", js, err)
	}
	return value
}

// until waits for an expression to be true, also on a page that comes only now.
func (p *person) until(js string) {
	p.t.Helper()
	waitFor(p.t, js, func() error {
		yes, err := see[bool](p, js)
		if err != nil || yes {
			return err
		}
		shown, err := see[string](p, `location.pathname + location.search + " shows " + document.body.innerText.slice(0, 1000)`)
		return errors.Join(errors.New(shown), err)
	})
}

// arrives waits, after a click, until the page at this address is there as a whole, and an expression true on it. An
// expression alone may be true already on the page that is being left.
func (p *person) arrives(address, js string) {
	p.t.Helper()
	p.until(fmt.Sprintf(`location.pathname + location.search === %q && document.readyState === "complete" && %s`, address, js))
}

func (p *person) open(path string) {
	p.t.Helper()
	p.do("open "+path, chromedp.Navigate(p.site.url+path))
}

func (p *person) click(selector string) {
	p.t.Helper()
	p.do("click "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// write types text in the place of what a field holds.
func (p *person) write(selector, text string) {
	p.t.Helper()
	p.do("write into "+selector, chromedp.Focus(chromedp.CSS(selector)),
		chromedp.Evaluate[chromedp.Void](`document.activeElement.select()`), chromedp.KeyEvent(text))
}

// looks makes the window one of this size and theme, for somebody who prefers more.
func (p *person) looks(s size, theme string, more ...*emulation.MediaFeature) {
	p.t.Helper()
	p.size, p.theme = s, theme
	var options []chromedp.EmulateViewportOption
	if s == phone {
		options = append(options, chromedp.EmulateScale(2), chromedp.EmulateMobile, chromedp.EmulateTouch)
	}
	p.do("resize", chromedp.EmulateViewport(s.width, s.height, options...))
	tell(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: append(more, &emulation.MediaFeature{Name: "prefers-color-scheme", Value: theme}),
	})
}

// speaks makes it somebody's who prefers this language.
func (p *person) speaks(language string) {
	p.t.Helper()
	tell(p, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{
		Headers: network.Headers{"Accept-Language": language},
	})
}

// withoutScripts turns off the scripts of all pages that are opened from now on.
func (p *person) withoutScripts() {
	p.t.Helper()
	tell(p, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
}

// atStart runs a script at the start of every page from now on.
func (p *person) atStart(script string) {
	p.t.Helper()
	tell(p, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
}

// asGesture lets a script do what only a click may.
func asGesture(e *runtime.EvaluateParams) {
	yes := true
	e.UserGesture = &yes
}

// visitor speaks HTTP as the person, who has not been here before.
func (p *person) visitor() *viewer {
	p.t.Helper()
	p.open("/upload")
	return p.viewer()
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

// picture saves what is to be seen, if SCREENSHOTS names a folder for it.
func (p *person) picture(journey, what string) {
	folder := os.Getenv("SCREENSHOTS")
	if folder == "" {
		return
	}
	png, err := chromedp.Run(p.tab, chromedp.CaptureScreenshot())
	if err == nil {
		name := fmt.Sprintf("%s-%s-%s-%dx%d.png", journey, what, p.theme, p.size.width, p.size.height)
		err = errors.Join(os.MkdirAll(folder, 0o755), os.WriteFile(filepath.Join(folder, name), png, 0o644))
	}
	if err != nil {
		p.t.Errorf("take a picture: %v", err)
	}
}
