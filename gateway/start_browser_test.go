package main

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestBrowserOneClickPlays: one click or tap on the picture starts the video, with and without a poster.
func TestBrowserOneClickPlays(t *testing.T) {
	p := &playing{}
	gateway, browser := p.start(t), startBrowser(t)
	for _, touch := range []bool{false, true} {
		for video, poster := range map[string]string{"a%26b": "/assets/", "2": "/api/poster"} {
			t.Run(fmt.Sprintf("%s touch %t", video, touch), func(t *testing.T) {
				b := newTab(browser, t, gateway)
				size := chromedp.EmulateViewport(1280, 800)
				if touch {
					size = chromedp.EmulateViewport(360, 740, chromedp.EmulateScale(2), chromedp.EmulateMobile, chromedp.EmulateTouch)
				}
				b.do("resize", size)
				b.open("/video?id=" + video)
				b.until(player + `.poster.includes("` + poster + `") && !document.getElementById("start").hidden`)
				if n := p.views.Swap(0); n != 0 {
					t.Errorf("%d requests for bytes before anybody plays", n)
				}
				b.press(touch)
				b.until(player + `.currentTime > 0.3 && !` + player + `.paused && document.getElementById("start").hidden && ` + player + `.controls`)
				p.views.Store(0)
			})
		}
	}
}

// press clicks or taps on the middle of the picture.
func (b tab) press(touch bool) {
	b.t.Helper()
	place, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]float64](`(({ x, y, width, height }) => [x + width / 2, y + height / 2])(`+player+`.getBoundingClientRect())`))
	if err != nil {
		b.t.Fatal(err)
	}
	if touch {
		b.do("tap", chromedp.TapXY(place[0], place[1]))
		return
	}
	b.do("click", chromedp.MouseClickXY(place[0], place[1]))
}

// TestBrowserPlaysFromACard: a viewer who comes from a card need not press anything. One who opens or reloads the page, or comes
// back to it from a form, does.
func TestBrowserPlaysFromACard(t *testing.T) {
	p := &playing{}
	b := newTab(startBrowser(t), t, p.start(t))
	b.open("/")
	b.do("choose", chromedp.Click(chromedp.CSS(`#video-list a[href="/video?id=2"]`)))
	b.until(`location.search === "?id=2" && ` + player + `.currentTime > 0.3 && !` + player + `.paused`)
	waits := `document.readyState === "complete" && ` + player + `.paused && !document.getElementById("start").hidden`
	b.do("reload", chromedp.Reload())
	b.until(waits)
	b.do("return", chromedp.Click(chromedp.CSS(`.foot button[lang=ko]`)))
	b.until(`document.documentElement.lang === "ko" && ` + waits)
	b.open("/video?id=2")
	b.until(waits)
}
