//go:build unix

package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"flixtube/chassis/chassistest"
)

// TestJourneyWatch: somebody uploads two videos through the page, watches them, seeks in the large one, and finds both
// once in the history; to somebody else who watches the first, the other is recommended.
func TestJourneyWatch(t *testing.T) { onEachSite(t, watchInABrowser) }

func watchInABrowser(t *testing.T, s *site) {
	anna, otto := newPerson(t, s), newPerson(t, s)
	chassistest.Program(t, "ffmpeg")
	bigFile := bigVideo(t)
	folder := t.TempDir()
	smallTitle, bigTitle := unique("A small video"), unique("A big video")
	small, big := filepath.Join(folder, smallTitle+".mp4"), filepath.Join(folder, bigTitle+".mp4")
	if err := errors.Join(os.WriteFile(small, sample(t), 0o600), os.Symlink(bigFile, big)); err != nil {
		t.Fatal(err)
	}

	ids := anna.upload(small, big)
	smallID, bigID := ids[0], ids[1]
	anna.screenshot("watching", "upload")
	anna.findListed(smallID, smallTitle)
	anna.findListed(bigID, bigTitle)
	anna.showsFacts(smallID, "0:15")
	anna.showsFacts(bigID, "1:15")

	// Many have watched a third video, so that it is more popular.
	popularTitle := unique("A popular video")
	popular := newViewer(t, s)
	popularID := popular.upload(popularTitle, sample(t))
	otherTitle := unique("Another video")
	otherID := popular.upload(otherTitle, sample(t))
	popular.waitListed(popularID, popularTitle)
	for range 3 {
		newViewer(t, s).mustWatch(popularID, sample(t))
	}
	before := func(recommended []string, first, second string) error {
		i, j := slices.Index(recommended, first), slices.Index(recommended, second)
		if i < 0 || (j >= 0 && i > j) {
			return fmt.Errorf("%q are recommended, and not %s before %s", recommended, first, second)
		}
		return nil
	}
	otto.recommended(func(all []string) error { // nothing is known about him
		if len(all) > 0 {
			return fmt.Errorf("%q are recommended", all)
		}
		return nil
	})
	otto.visitor().mustWatch(otherID, sample(t))
	otto.recommended(func(all []string) error { return before(all, popularID, bigID) })

	anna.follow(smallID, smallTitle)
	anna.plays()
	anna.follow(bigID, bigTitle)
	anna.plays()
	anna.screenshot("watching", "watch")
	anna.seeks(60)
	newest := anna.viewer().wantHistory(bigID, smallID)
	anna.open("/history")
	lines := eval[[]string](anna, `[...document.querySelectorAll('#history-list li > a[href^="/video?"]')].map(a => a.getAttribute("href"))`)
	if want := []string{videoPage(newest), videoPage(bigID), videoPage(smallID)}; !slices.Equal(lines, want) {
		t.Errorf("the page of the history shows %q, want %q", lines, want)
	}
	anna.screenshot("watching", "history")

	// After the small one, Otto is recommended what else Anna has watched, then what is more popular, and nothing watched.
	otto.open(videoPage(smallID))
	otto.pressPicture()
	otto.plays()
	otto.recommended(func(all []string) error {
		if slices.Contains(all, smallID) {
			return fmt.Errorf("%q are recommended, and %s has been watched", all, smallID)
		}
		return before(all, bigID, popularID)
	})
	otto.screenshot("watching", "home")
	otto.open(videoPage(popularID))
	otto.until(fmt.Sprintf(`!!document.querySelector('#next-list a[href="%s"]')`, videoPage(bigID)))
	otto.screenshot("watching", "next")
}

// TestJourneyResume: a viewer who returns to a video continues where they stopped; another viewer starts at the beginning.
func TestJourneyResume(t *testing.T) {
	s := anySite(t)
	anna, otto := newPerson(t, s), newPerson(t, s)
	title := unique("To be continued")
	v := anna.visitor()
	id := v.upload(title, sample(t))
	v.waitListed(id, title)
	const place, last = 8, 14 // of 15 seconds; after 95 % one is through

	anna.open(videoPage(id))
	anna.pressPicture()
	anna.plays()
	eval[float64](anna, fmt.Sprintf(`player.currentTime = %d`, place))
	anna.reaches(place + 0.2)
	anna.open("/history") // saved as the page is left
	for page, path := range map[string]string{"home": "/", "history": "/history"} {
		chassistest.Eventually(t, timeout, "the bar of what is watched", func() error {
			anna.open(path)
			bar := eval[float64](anna, fmt.Sprintf(`document.querySelector('main a[href="%s"] progress')?.value ?? 0`, videoPage(id)))
			if bar < 100*place/15 || bar > 100*last/15 {
				return fmt.Errorf("on %s it is at %g", path, bar)
			}
			return nil
		})
		anna.screenshot("resume", page)
	}
	begins := func(p *person, path string, from, to float64) {
		t.Helper()
		p.open(path)
		p.pressPicture()
		p.plays()
		if at := eval[float64](p, `player.played.start(0)`); at < from || at > to {
			t.Errorf("%s begins at second %g, want %g to %g", path, at, from, to)
		}
	}
	begins(anna, videoPage(id), place, last)
	anna.open("/")
	anna.click(fmt.Sprintf(`#continue-list a[href="%s"]`, videoPage(id)))
	anna.arrives(videoPage(id), `document.getElementById("player") !== null`)
	begins(anna, videoPage(id)+"&t=2", 2, 2.5)
	begins(otto, videoPage(id), 0, 0.1)
}

// TestJourneyHistory: lines are removed one by one, or all, after a question, and nobody else's.
func TestJourneyHistory(t *testing.T) {
	s := anySite(t)
	anna, otto := newPerson(t, s), newPerson(t, s)
	v, other := anna.visitor(), otto.visitor()
	title := unique("Watched")
	id := v.upload(title, sample(t))
	v.waitListed(id, title)
	second := v.upload(unique("Watched, too"), sample(t))
	v.mustWatch(second, sample(t))
	v.mustWatch(id, sample(t))
	v.mustWatch(id, sample(t)) // on the same day: no line of its own
	other.mustWatch(id, sample(t))
	newest := v.wantHistory(id, id, second)

	const lines = `document.querySelectorAll("#history-list li").length`
	anna.open("/history")
	anna.until(lines + ` === 3`)
	anna.click(`#history-list li:first-child button`)
	anna.until(lines + ` === 2`)
	if left, err := v.history(); err != nil || slices.Contains(left, newest) || len(left) != 2 {
		t.Errorf("after one was removed the history is %q, error %v", left, err)
	}
	anna.click(`a[href="/history/clear"]`)
	anna.arrives("/history/clear", `true`)
	anna.screenshot("history", "clear")
	anna.click(`main a[href="/history"]`)
	anna.arrives("/history", lines+` === 2`)
	anna.click(`a[href="/history/clear"]`)
	anna.arrives("/history/clear", `true`)
	anna.click(`main form button`)
	anna.arrives("/history", `!!document.querySelector(".empty")`)
	anna.screenshot("history", "empty")
	v.wantHistory()
	other.wantHistory(id)
}

// TestJourneyPaused: the gateway closes the stream of a player that is paused for long; when it plays again, it asks for the
// rest, and the viewer notices nothing.
func TestJourneyPaused(t *testing.T) {
	startsOwn(t)
	s := newSite(t, map[string]string{"SEND_TIMEOUT": "2"})
	anna := newPerson(t, s)
	anna.ignore("ERR_CONTENT_LENGTH_MISMATCH") // so the browser calls the end of the stream
	title := unique("To be paused")
	film, err := os.ReadFile(bigVideo(t))
	if err != nil {
		t.Fatal(err)
	}
	v := anna.visitor()
	id := v.upload(title, film)
	v.waitListed(id, title)

	anna.open(videoPage(id))
	anna.pressPicture()
	anna.plays()
	anna.pressPicture()
	anna.until(`player.paused`)
	eval[float64](anna, `player.loaded = performance.now()`)
	chassistest.Eventually(t, timeout, "the player stops reading", func() error { return s.unread(t, true) })
	chassistest.Eventually(t, timeout, "the gateway closes the stream", func() error { return s.unread(t, false) })
	buffered := eval[float64](anna, `player.buffered.end(player.buffered.length - 1)`)
	duration := eval[float64](anna, `player.duration`)
	if buffered > duration-30 {
		t.Fatalf("%g of %g seconds were read before the pause", buffered, duration)
	}
	before := anna.loaded("/api/video")
	eval[float64](anna, fmt.Sprintf(`player.playbackRate = 4, player.currentTime = %g`, buffered-1))
	anna.pressPicture()
	anna.until(`!player.paused`)
	anna.reaches(buffered + 25) // the browser and its system have some seconds more than it says
	further := slices.DeleteFunc(anna.loaded("/api/video")[len(before):], func(l load) bool {
		return l.status != http.StatusPartialContent || l.start <= 0 || l.url.RawQuery != before[0].url.RawQuery
	})
	if len(further) == 0 {
		t.Errorf("no further range was fetched after the pause, of %+v", anna.loaded("/api/video"))
	}
	if said := eval[string](anna, `trouble.hidden ? "" : trouble.textContent`); said != "" {
		t.Errorf("the viewer is told %q", said)
	}
	if eval[float64](anna, `player.loaded ?? 0`) == 0 {
		t.Error("the page was loaded again")
	}
	anna.viewer().wantHistory(id)
}

// unread returns an error unless there is, or is not, a connection to the gateway whose client does not read.
func (s *site) unread(t *testing.T, want bool) error {
	t.Helper()
	_, number, _ := strings.Cut(strings.TrimPrefix(s.url, "http://"), ":")
	port, err := strconv.Atoi(number)
	if err != nil {
		t.Fatal(err)
	}
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for line := range strings.Lines(string(table)) {
		// number, local and remote address, state (1 is established), bytes to send : bytes to read, …
		fields := strings.Fields(line)
		found = found || strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) && fields[3] == "01" && !strings.HasPrefix(fields[4], "00000000:")
	}
	if found != want {
		return fmt.Errorf("that there is a stream which is not read is %t", found)
	}
	return nil
}

func videoPage(id string) string { return "/video?id=" + id }

// recommended opens the home page until what it recommends is right.
func (p *person) recommended(right func(ids []string) error) {
	p.t.Helper()
	chassistest.Eventually(p.t, timeout, "recommendations", func() error {
		p.open("/")
		return right(eval[[]string](p, `[...document.querySelectorAll("#recommended-list > div > a")].map(a => a.search.replace("?id=", ""))`))
	})
}

// findListed opens the home page, whose list may be a moment old, until the video is there, once.
func (p *person) findListed(id, title string) {
	p.t.Helper()
	chassistest.Eventually(p.t, timeout, "the home page lists "+title, func() error {
		p.open("/")
		texts := eval[[]string](p, fmt.Sprintf(`[...document.querySelectorAll('#video-list > div > a[href="%s"]')].map(a => a.textContent)`, videoPage(id)))
		if len(texts) != 1 || !strings.Contains(texts[0], title) {
			return fmt.Errorf("it lists %q", texts)
		}
		return nil
	})
}

// follow finds a video on the home page, and clicks the link to it.
func (p *person) follow(id, title string) {
	p.t.Helper()
	p.findListed(id, title)
	p.click(fmt.Sprintf(`#video-list a[href="%s"]`, videoPage(id)))
	p.arrives(videoPage(id), `document.getElementById("player") !== null`)
}

// plays sees the video advance.
func (p *person) plays() {
	p.t.Helper()
	p.until(`player.played.length > 0 && player.played.end(0) - player.played.start(0) > 0.3`)
}

// pressPicture clicks the middle of the picture.
func (p *person) pressPicture() {
	p.t.Helper()
	p.clickAt(`(({ x, y, width, height }) => [x + width / 2, y + height / 2])(player.getBoundingClientRect())`)
}

// reaches waits until the video has been played to this second.
func (p *person) reaches(second float64) {
	p.t.Helper()
	p.until(fmt.Sprintf(`player.currentTime >= %g`, second))
}

// seeks moves to another second, for which the player needs bytes that it does not have, and sees it play on.
func (p *person) seeks(second float64) {
	p.t.Helper()
	before := p.loaded("/api/video")
	eval[float64](p, fmt.Sprintf(`player.currentTime = %g`, second))
	p.reaches(second + 0.5)
	further := slices.DeleteFunc(p.loaded("/api/video")[len(before):], func(l load) bool {
		return l.status != http.StatusPartialContent || l.start <= 0
	})
	if len(further) == 0 {
		p.t.Error("no further range was fetched after the seek")
	}
	for _, l := range further {
		if first := before[len(before)-1]; l.url.Query().Get("view") == "" || l.url.RawQuery != first.url.RawQuery {
			p.t.Errorf("the player's requests belong to several viewings: %s, %s", first.url, l.url)
		}
	}
}
