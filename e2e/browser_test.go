//go:build unix

package e2e

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
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

// browser is a Chromium with a fresh profile, for all tests.
var browser = share(func(tb testing.TB) context.Context {
	tb.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chassistest.Chromium(tb)),
		chromedp.NoSandbox, // for root, and in containers; it sees our own pages alone
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("mute-audio", true),
		chromedp.Env("HOME="+tb.TempDir()), // not every user has one
		chromedp.WSURLReadTimeout(timeout),
	)
	if strings.HasPrefix(running(), "https:") {
		options = append(options, chromedp.Flag("ignore-certificate-errors-spki-list", trustedKeys(tb)))
	}
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	tb.Cleanup(stop)
	ctx, closeBrowser := chromedp.NewContext(ctx)
	tb.Cleanup(closeBrowser)
	if err := chromedp.Do(ctx); err != nil {
		tb.Fatalf("start Chromium: %v", err)
	}
	return ctx
})

// trustedKeys are those with which the running site proves its name to Go, which reads SSL_CERT_FILE. Chromium has a
// list of authorities of its own.
func trustedKeys(tb testing.TB) string {
	tb.Helper()
	conn := (&site{url: running()}).dial(tb)
	defer conn.Close()
	var keys []string
	for _, certificate := range conn.(*tls.Conn).ConnectionState().PeerCertificates {
		key := sha256.Sum256(certificate.RawSubjectPublicKeyInfo)
		keys = append(keys, base64.StdEncoding.EncodeToString(key[:]))
	}
	return strings.Join(keys, ",")
}

// person uses a tab with cookies of its own. Errors of scripts, and violations of the page's own policy, fail the test.
type person struct {
	t     *testing.T
	site  *site
	tab   context.Context
	size  size
	theme string

	mu       sync.Mutex
	loads    []*load
	problems []string
	ignored  []string // problems with one of these words do not count
}

// load is something that the browser asked for.
type load struct {
	id     network.RequestID
	method string
	url    *url.URL
	sent   http.Header
	status int64 // 0 until there is a response
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
	tab, closeTab := chromedp.NewContext(browser(t), chromedp.WithNewBrowserContext())
	t.Cleanup(closeTab)
	p := &person{t: t, site: s, tab: tab}
	if err := errors.Join(chromedp.Do(tab), chromedp.Listen(tab, p.note)); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			p.screenshot(strings.ReplaceAll(t.Name(), "/", "_"), "failed")
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.problems) > 0 {
			t.Errorf("the browser reports: %q", p.problems)
		}
	})
	p.setLanguage("en")
	p.setWindow(laptop, light)
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
		p.report(fmt.Sprintf("%s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			p.report(e.Entry.Text + " " + e.Entry.URL)
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

func (p *person) report(problem string) {
	for _, word := range p.ignored {
		if strings.Contains(problem, word) {
			return
		}
	}
	p.problems = append(p.problems, problem)
}

// bear lets the browser report of something that the test does on purpose.
func (p *person) ignore(words ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ignored = append(p.ignored, words...)
}

// loaded returns the requests under a path so far.
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
	ctx, cancel := context.WithTimeout(p.tab, timeout)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
}

// command gives the browser a command of its protocol.
func command[P, R any](p *person, command cdp.Command[P, R], params P) {
	p.t.Helper()
	if _, err := chromedp.Call(p.tab, command, params); err != nil {
		p.t.Fatalf("command the browser: %+v: %v", params, err)
	}
}

// tryEval returns the value of an expression in the page.
func tryEval[T any](p *person, js string) (T, error) {
	ctx, cancel := context.WithTimeout(p.tab, timeout)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
}

func eval[T any](p *person, js string) T {
	p.t.Helper()
	value, err := tryEval[T](p, js)
	if err != nil {
		p.t.Fatalf("%s: %v", js, err)
	}
	return value
}

// until waits for an expression to be true, also on a page that is still loading.
func (p *person) until(js string) {
	p.t.Helper()
	chassistest.Eventually(p.t, timeout, js, func() error {
		yes, err := tryEval[bool](p, js)
		if err != nil || yes {
			return err
		}
		shown, err := tryEval[string](p, `location.pathname + location.search + " shows " + document.body.innerText.slice(0, 1000)`)
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

// setWindow sets the size and the theme of the window, and more preferences.
func (p *person) setWindow(s size, theme string, more ...*emulation.MediaFeature) {
	p.t.Helper()
	p.size, p.theme = s, theme
	var options []chromedp.EmulateViewportOption
	if s == phone {
		options = append(options, chromedp.EmulateScale(2), chromedp.EmulateMobile, chromedp.EmulateTouch)
	}
	p.do("resize", chromedp.EmulateViewport(s.width, s.height, options...))
	command(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: append(more, &emulation.MediaFeature{Name: "prefers-color-scheme", Value: theme}),
	})
}

// setLanguage sets the browser's preferred language.
func (p *person) setLanguage(language string) {
	p.t.Helper()
	command(p, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{
		Headers: network.Headers{"Accept-Language": language},
	})
}

// withoutScripts turns off the scripts of all pages that are opened from now on.
func (p *person) withoutScripts() {
	p.t.Helper()
	command(p, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
}

// atStart runs a script at the start of every page from now on.
func (p *person) atStart(script string) {
	p.t.Helper()
	command(p, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
}

// clickAt clicks at the place, x and y, that an expression of JavaScript returns.
func (p *person) clickAt(place string) {
	p.t.Helper()
	at := eval[[2]float64](p, place)
	p.do("click at "+place, chromedp.MouseClickXY(at[0], at[1]))
}

// visitor speaks HTTP with the cookies of a person who opens the first page.
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
		p.t.Fatalf("read the cookies: %v", err)
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

// screenshot saves a picture of the page, if SCREENSHOTS names a folder for it.
func (p *person) screenshot(journey, what string) {
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
		p.t.Errorf("take a screenshot: %v", err)
	}
}
