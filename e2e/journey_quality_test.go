//go:build unix

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/google/uuid"

	"flixtube/chassis/chassistest"
	"flixtube/flixtube/samples"
)

// TestJourneyEveryPage: every page fits a phone and a wide screen, in both themes, has no serious violation that axe
// finds, and does not move for viewers who prefer reduced motion.
func TestJourneyEveryPage(t *testing.T) {
	s := anySite(t)
	anna := newPerson(t, s)
	anna.visit(func(page string) {
		for _, theme := range []string{light, dark} {
			for _, window := range []size{phone, laptop, wide} {
				anna.setWindow(window, theme)
				anna.noScrollingSideways(page)
				anna.screenshot("pages", page)
				if window != wide {
					anna.isAccessible(page)
				}
			}
		}
		anna.setWindow(laptop, light, &emulation.MediaFeature{Name: "prefers-reduced-motion", Value: "reduce"})
		moving := eval[[]string](anna, `[...document.querySelectorAll("*")].filter((e) => {
			const { transitionProperty, animationName, scrollBehavior } = getComputedStyle(e);
			return transitionProperty !== "none" || animationName !== "none" || scrollBehavior !== "auto";
		}).map((e) => e.outerHTML.slice(0, 100))`)
		if len(moving) > 0 {
			t.Errorf("on %s moves %q", page, moving)
		}
		anna.setWindow(laptop, light)
	})
	needsAxe(t)
}

// needsAxe is called at the end, so that without axe all the rest is tested.
func needsAxe(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(os.Getenv("AXE")); err != nil {
		chassistest.Missing(t, "axe-core (npm install axe-core@4.14.1; AXE is the path of its axe.min.js)")
	}
}

// isAccessible: axe (https://github.com/dequelabs/axe-core), if it is there, finds nothing serious on the page as it is.
func (p *person) isAccessible(page string) {
	p.t.Helper()
	axe, err := os.ReadFile(os.Getenv("AXE"))
	if err != nil {
		return
	}
	p.do("load axe", chromedp.Evaluate[chromedp.Void](string(axe)+";0")) // the page's policy is not about this
	found := eval[[]string](p, `axe.run(document, {resultTypes: ["violations"], preload: false}).then((result) => result.violations
		.filter((v) => ["serious", "critical"].includes(v.impact))
		.map((v) => v.id + " (" + v.help + "): " + v.nodes.map((n) => n.html + " " + n.failureSummary).join("; ")))`)
	for _, violation := range found {
		p.t.Errorf("%s, %s, %d wide: %s", page, p.theme, p.size.width, violation)
	}
}

// visit goes to every page there is, with something on it.
func (p *person) visit(look func(page string)) {
	p.t.Helper()
	v := p.visitor()
	word := unique("A visit")
	own := v.uploadSample("Deep into the Mandelbrot set", word+" to everything, under a title that is so long that no card shows it in two lines")
	other := newViewer(p.t, p.site)
	others := other.uploadSample("Colours drifting by", word+" <i>elsewhere<i>")
	other.waitListed(own, word+" to everything")
	other.waitListed(others, word+" <i>elsewhere<i>")
	v.watchFirstByte(own)
	other.watchFirstByte(own)
	other.watchFirstByte(others)
	a := v.must(v.send(http.MethodPost, "/api/position?video="+own, strings.NewReader(`{"position":6,"duration":15}`), "Content-Type", "application/json"))
	if a.status != http.StatusNoContent {
		p.t.Errorf("the position was answered %d", a.status)
	}
	p.recommended(func(ids []string) error {
		if !slices.Contains(ids, others) {
			return fmt.Errorf("%q are recommended, and not %s", ids, others)
		}
		return nil
	})
	chassistest.Eventually(p.t, timeout, "the history", func() error {
		ids, err := v.history()
		if err == nil && !slices.Equal(ids, []string{own}) {
			err = fmt.Errorf("it is %q", ids)
		}
		return err
	})
	p.open("/")
	p.until(`document.querySelectorAll("#continue-list > div").length === 1`)
	look("home")
	for _, page := range []struct{ name, path string }{
		{"search", "/?q=" + strings.ReplaceAll(word, " ", "+")},
		{"nothing-found", "/?q=" + uuid.NewString()},
		{"watch", videoPage(others)},
		{"own", videoPage(own)},
		{"history", "/history"},
		{"clear", "/history/clear"},
		{"404", videoPage(uuid.NewString())},
		{"error", "/?skip=-1"},
		{"upload-empty", "/upload"},
	} {
		switch page.name {
		case "404":
			p.ignore("404")
		case "error":
			p.ignore("400")
		}
		p.open(page.path)
		p.do("unfold", chromedp.Evaluate[chromedp.Void](`for (const d of document.querySelectorAll("details")) d.open = true`))
		look(page.name)
	}
	p.uploading(func() { look("upload") })
}

const mayShift = 0.02

// TestJourneyPageWeight: little is fetched, and only once; nothing moves when something loads late.
func TestJourneyPageWeight(t *testing.T) {
	s := anySite(t)
	anna := newPerson(t, s)
	v := newViewer(t, s)
	var id string
	for _, sample := range samples.Titles() { // one to watch, and others beside it
		title := unique("Light")
		id = v.uploadSample(sample, title)
		v.waitListed(id, title)
	}
	anna.atStart(`globalThis.shifted = 0;
		globalThis.moved = [];
		new PerformanceObserver((list) => {
			for (const shift of list.getEntries()) {
				shifted += shift.value;
				for (const { node, previousRect, currentRect } of shift.sources) {
					moved.push([shift.value, node?.outerHTML?.slice(0, 100) ?? node?.nodeName, JSON.stringify(previousRect), JSON.stringify(currentRect)].join(" "));
				}
			}
		}).observe({ type: "layout-shift", buffered: true });`)
	// Posters come late enough to be seen coming, each time.
	command(anna, network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: true})
	command(anna, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
		MatchedNetworkConditions: []*network.Conditions{{URLPattern: s.url + "/api/poster*", Latency: 300, DownloadThroughput: -1, UploadThroughput: -1}},
	})
	settled := func(page string) {
		t.Helper()
		anna.open(page)
		anna.until(`document.readyState === "complete" && [...document.images].every((image) => image.complete || image.getBoundingClientRect().top > innerHeight || image.getBoundingClientRect().left > innerWidth)`)
		if eval[int](anna, `document.images.length`) == 0 {
			t.Errorf("%s has no pictures", page)
		}
		eval[float64](anna, `new Promise((painted) => requestAnimationFrame(() => requestAnimationFrame(painted)))`)
		if shifted := eval[float64](anna, `shifted`); shifted > mayShift {
			t.Errorf("%s moves by %g (https://web.dev/articles/cls): %q", page, shifted, eval[[]string](anna, `moved`))
		}
	}

	for _, window := range []size{phone, laptop} {
		anna.setWindow(window, light)
		settled("/")
		settled(videoPage(id))
	}

	otto := newPerson(t, s) // whose cache is empty
	otto.open("/")
	otto.until(`document.readyState === "complete"`)
	var bytes float64
	first := otto.loaded("/")
	came := map[string]bool{}
	for _, l := range first {
		came[l.url.Path+l.url.RawQuery] = l.bytes > 0
		if !strings.HasPrefix(l.url.Path, "/api/poster") {
			bytes += l.bytes
		}
		if !strings.HasPrefix(l.url.String(), s.url+"/") {
			t.Errorf("%s is fetched from elsewhere", l.url)
		}
	}
	t.Logf("the first page takes %d requests and %.0f bytes", len(first), bytes)
	if bytes < 5_000 || bytes > 60_000 {
		t.Errorf("the first page has %.0f bytes", bytes)
	}
	otto.forgetLoads()
	otto.open("/")
	otto.until(`document.readyState === "complete"`)
	for _, l := range otto.loaded("/") {
		poster, asset := strings.HasPrefix(l.url.Path, "/api/poster"), strings.HasPrefix(l.url.Path, "/assets/")
		if strings.HasSuffix(l.url.Path, "/icon.svg") || !came[l.url.Path+l.url.RawQuery] {
			continue // browsers keep icons in their own ways
		}
		if (poster || asset) && !l.cached && (l.status != http.StatusNotModified || !poster) {
			t.Errorf("%s is fetched again, with status %d, %.0f bytes", l.url, l.status, l.bytes)
		}
	}
}
