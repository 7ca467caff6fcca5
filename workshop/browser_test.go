//go:build unix

package workshop

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"flixtube/chassis/chassistest"
)

// browser is a Chromium with one tab.
type browser struct{ tab context.Context }

func newBrowser(t *testing.T) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chassistest.Chromium(t)),
		chromedp.NoSandbox, // for root, and in containers; it sees our own pages alone
		chromedp.DisableGPU,
		chromedp.WindowSize(900, 500),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("mute-audio", true),
		chromedp.Env("HOME="+t.TempDir()), // not every user has one
		chromedp.WSURLReadTimeout(appearTimeout),
	)
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	tab, closeTab := chromedp.NewContext(ctx)
	t.Cleanup(closeTab)
	if err := chromedp.Do(tab); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	return &browser{tab}
}

// ask runs an action that must end in time.
func ask[T any](b *browser, action chromedp.Action[T]) (T, error) {
	ctx, cancel := context.WithTimeout(b.tab, appearTimeout)
	defer cancel()
	return chromedp.Run(ctx, action)
}

var secondOf = regexp.MustCompile(`^t=([0-9.]+)$`)

// open waits for the page and, if there is a video in it, for the picture at the second that the address names.
func (b *browser) open(address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	response, err := ask(b, chromedp.NavigateResponse(address))
	if err != nil {
		return err
	}
	if response != nil && response.Status >= 400 { // there is none when only the fragment changes
		return fmt.Errorf("status %d", response.Status)
	}
	at := "0"
	if m := secondOf.FindStringSubmatch(u.Fragment); m != nil {
		at = m[1]
	}
	return b.plays(at)
}

// plays waits until the video of the page, if there is one, shows its picture at that second.
func (b *browser) plays(second string) error {
	return chassistest.Poll(appearTimeout, func() error {
		state, err := ask(b, chromedp.Evaluate[string](`(() => {
			const v = document.querySelector("video")
			if (!v) return ""
			if (v.error) return "the video fails: " + v.error.message
			if (v.readyState < 2 || v.seeking) return "the video has no picture yet"
			return v.currentTime < `+second+` ? "the video is at " + v.currentTime : ""
		})()`))
		if err == nil && state != "" {
			err = errors.New(state)
		}
		return err
	})
}

// shows waits until the page has these lines somewhere, in this order. How the page breaks its lines does not matter.
func (b *browser) shows(lines string) error {
	started := time.Now()
	all := strings.Split(strings.TrimSpace(lines), "\n")
	for i, line := range all {
		all[i] = strings.ReplaceAll(regexp.QuoteMeta(line), `\.\.\.`, ".*")
	}
	want := regexp.MustCompile(strings.Join(all, ".*"))
	return chassistest.Poll(appearTimeout, func() error {
		text, err := ask(b, chromedp.Evaluate[string](`document.body ? document.body.innerText : ""`))
		if err != nil {
			return err
		}
		if !want.MatchString(strings.Join(strings.Fields(text), " ")) {
			return fmt.Errorf("after %v the page shows\n%s\nand the text says\n%s", time.Since(started), tail(text), lines)
		}
		return nil
	})
}

// login fills in the form of the page.
func (b *browser) login(name, password string) error {
	form := chromedp.CSS(`input[type=password]`)
	_, err := ask(b, chromedp.Steps(
		chromedp.WaitVisible(form),
		chromedp.SendKeys(chromedp.CSS(`input[type=text]`), name),
		chromedp.SendKeys(form, password+"\r"),
		chromedp.WaitNotPresent(form),
	))
	return err
}

func (b *browser) picture() ([]byte, error) {
	if err := b.plays("0"); err != nil {
		return nil, err
	}
	// What was decided before the next frame but one is painted then.
	painted := `new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`
	if _, err := ask(b, chromedp.Evaluate[bool](painted, chromedp.EvalAwaitPromise)); err != nil {
		return nil, err
	}
	return ask(b, chromedp.FullScreenshot(100))
}
