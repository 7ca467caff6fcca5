//go:build unix

package e2e

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

const firstCue = `(() => { const [track] = document.getElementById("player").textTracks; if (track) track.mode = "showing";
	return track?.cues?.[0]?.text; })()`

// TestJourneyCaptions: the owner adds captions without a script, after a broken file; the player shows them; another viewer
// cannot change them; and they are gone with the video.
func TestJourneyCaptions(t *testing.T) {
	s := anySite(t)
	anna := newPerson(t, s)
	anna.ignore("400", "404")
	anna.open("/")
	title := unique("With captions")
	id := anna.viewer().uploadSample("The game of life", title)
	anna.viewer().waitListed(id, title)
	folder := t.TempDir()
	broken, good := filepath.Join(folder, "자막 1.srt"), filepath.Join(folder, "자막 2.srt")
	if err := errors.Join(
		os.WriteFile(broken, []byte("1\n00:00:00,000 --> 00:00:20,00\n안녕하세요\n"), 0o600),
		os.WriteFile(good, []byte("\ufeff1\r\n00:00:00,000 --> 00:00:20,000\r\n<i>안녕하세요</i> & <script>alert(1)</script>\r\n"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	add := func(file string) {
		anna.do("choose the captions", chromedp.SetUploadFiles(chromedp.CSS(`.owner [name=file]`), []string{file}))
		anna.do("choose the language", chromedp.SetValue(chromedp.CSS(`.owner [name=language]`), "ko"))
		anna.click(`[action="/video/captions"] [type=submit]`)
	}
	anna.open(videoPage(id))
	anna.click(ownersForm("/video/captions") + ` summary`)
	add(broken)
	anna.until(`document.querySelector("#captions-error")?.textContent === "“자막 1.srt”: Line 2: a time is missing or wrong. It must look like 00:01:02.500 --> 00:01:04.000."`)
	anna.until(`document.activeElement.name === "file" && document.getElementById("player").paused`)
	anna.screenshot("captions", "broken")
	add(good)
	anna.until(`document.querySelector("track")?.label === "한국어"`)
	anna.until(firstCue + ` === "<i>안녕하세요</i> &amp; &lt;script&gt;alert(1)&lt;/script&gt;"`)
	anna.pressPicture()
	anna.until(`document.getElementById("player").currentTime > 0`)
	anna.click(ownersForm("/video/captions") + ` summary`)
	anna.screenshot("captions", "added")
	anna.do("scroll", chromedp.ScrollIntoView(chromedp.CSS(`[action="/video/captions"]`)))
	anna.screenshot("captions", "form")
	anna.setLanguage("ko")
	anna.setWindow(phone, dark)
	anna.open(videoPage(id))
	anna.click(ownersForm("/video/captions") + ` summary`)
	anna.do("scroll", chromedp.ScrollIntoView(chromedp.CSS(`[action="/video/captions"]`)))
	anna.screenshot("captions", "korean")

	v := newViewer(t, s)
	at := "/api/captions?id=" + id + "&language=ko"
	a := v.must(v.send(http.MethodGet, at, nil))
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "text/vtt; charset=utf-8" || a.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("captions for another viewer: %d %v", a.status, a.header)
	}
	if a := v.must(v.send(http.MethodPost, "/video/captions/remove", strings.NewReader("id="+id+"&language=ko"), "Content-Type", "application/x-www-form-urlencoded")); a.status != http.StatusForbidden {
		t.Errorf("another viewer removes captions: %d", a.status)
	}
	anna.click(ownersForm("/video/remove") + ` summary`)
	anna.click(`.owner .danger`)
	anna.until(`location.pathname === "/"`)
	if a := v.must(v.send(http.MethodGet, at, nil)); a.status != http.StatusNotFound {
		t.Errorf("captions of a removed video: %d", a.status)
	}
}
