package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"flixtube/chassis/chassistest"
)

// soundOnly is a file whose picture Chromium cannot decode, and whose sound it can.
func soundOnly(t *testing.T) (path string) {
	t.Helper()
	return undecodable(t, "-c:a", "aac")
}

// undecodable is a file whose picture Chromium cannot decode, with the sound that the options of ffmpeg say.
func undecodable(t *testing.T, sound ...string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "phone.mp4")
	args := []string{"-loglevel", "error", "-f", "lavfi", "-i", "testsrc=s=64x36:d=3", "-f", "lavfi", "-i", "sine=d=3", "-c:v", "mpeg4"}
	args = append(append(args, sound...), "-movflags", "+faststart", path)
	if out, err := exec.Command(chassistest.Program(t, "ffmpeg"), args...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v %s", err, out)
	}
	return path
}

func TestBrowserSoundOnly(t *testing.T) {
	content, err := os.ReadFile(soundOnly(t))
	if err != nil {
		t.Fatal(err)
	}
	p := &playing{content: content}
	b := newTab(startBrowser(t), t, p.start(t))
	b.open("/video?id=2")
	b.press(false)
	b.until(player + `.currentTime > 0.3 && ` + trouble + `.innerText.includes("plays only its sound")`)
}

// TestBrowserNotPlayable: the page says so after one more try, not after a quarter of a minute.
func TestBrowserNotPlayable(t *testing.T) {
	p := &playing{content: []byte(strings.Repeat("not a video", 1000))}
	b := newTab(startBrowser(t), t, p.start(t))
	b.open("/video?id=2")
	b.do("listen", chromedp.Evaluate[chromedp.Void](`globalThis.said = [];
		new MutationObserver(() => said.push(`+trouble+`.innerText)).observe(`+trouble+`, { childList: true })`))
	b.press(false)
	b.until(trouble + `.innerText.includes("cannot play this video")`)
	if n := p.views.Load(); n < 1 || n > 2 { // the browser may have kept the bytes for its second try
		t.Errorf("it was fetched %d times", n)
	}
	b.until(`!said.some((text) => text.includes("Trying again"))`)
}

// TestBrowserSettings: speed and volume stay from one video to the next.
func TestBrowserSettings(t *testing.T) {
	p := &playing{}
	b := newTab(startBrowser(t), t, p.start(t))
	b.open("/video?id=2")
	b.keys(">>" + kb.ArrowDown + kb.ArrowDown + "?")
	const settings = player + `.playbackRate === 1.5 && document.getElementById("speed").value === "1.5" && ` + player + `.volume === 0.9`
	b.until(settings + ` && document.getElementById("keys").open`)
	b.keys("?")
	b.until(`!document.getElementById("keys").open`)
	b.open("/video?id=a%26b")
	b.until(settings)
	b.keys(">>><<<<<<" + kb.ArrowUp + kb.ArrowUp + kb.ArrowUp)
	b.until(player + `.playbackRate === 0.5 && ` + player + `.volume === 1`)
	b.do("break the settings", chromedp.Evaluate[chromedp.Void](`localStorage.setItem("player", '{"speed":"9","volume":7,"muted":1}')`))
	b.open("/video?id=2")
	b.until(player + `.playbackRate === 1 && ` + player + `.volume === 1 && !` + player + `.muted`)
}

// TestBrowserPlaysNext: after the end, unless the viewer cancels.
func TestBrowserPlaysNext(t *testing.T) {
	p := &playing{}
	b := newTab(startBrowser(t), t, p.start(t))
	b.open("/video?id=2")
	b.press(false)
	end := func() {
		t.Helper()
		b.until(player + `.duration > 0 && !` + player + `.paused`)
		b.do("go to the end", chromedp.Evaluate[chromedp.Void](player+`.currentTime = `+player+`.duration - 0.2`))
		b.until(`/Next in \d s: One/.test(document.getElementById("next").innerText)`)
	}
	end()
	b.do("cancel", chromedp.Click(chromedp.CSS("#next button")))
	b.until(`document.getElementById("next").hidden`)
	b.press(false) // from the start
	end()
	b.until(`location.search === "?id=a%26b" && ` + player + `.currentTime > 0.2 && !` + player + `.paused`)
}
