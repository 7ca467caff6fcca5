//go:build unix

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"flixtube/chassis/chassistest"
	"flixtube/flixtube/samples"
)

// The last line of the upload page, and how far it is.
const (
	lastUpload = `document.querySelector("#uploads > li:last-child")`
	sentSoFar  = lastUpload + `.querySelector("progress").value`
)

// TestJourneyUploadInterrupted: an upload resumes where it was after the connection broke, and after the page was left.
func TestJourneyUploadInterrupted(t *testing.T) {
	s := anySite(t)
	u, address := s.parsedURL(t)
	line := newProxy(t, "line", address)
	through := *s
	through.url = "http://" + line.Listen
	if u.Scheme == "https" {
		if u.Hostname() != "localhost" {
			t.Skip("by HTTPS a proxy on this machine can have no other name than localhost")
		}
		_, port, _ := strings.Cut(line.Listen, ":")
		through.url = "https://localhost:" + port
	}
	anna := newPerson(t, &through)
	anna.ignore("net::ERR_", "beforeunload") // from the broken connection, and from leaving the page during an upload
	title := unique("끊긴 영상")
	file, body := sampleFile(t, "Deep into the Mandelbrot set", title)

	anna.open("/upload")
	anna.limitUpload(80_000)
	anna.choose(file)
	anna.until(sentSoFar + ` > 0.1`)
	anna.until(`/^\d+ % of 980 kB · \d+ .+\/s · \d+ (sec|min) left$/.test(` + lastUpload + `.querySelector(".state").innerText)`)
	anna.screenshot("upload", "slow")
	line.Stop()
	anna.until(lastUpload + `.querySelector(".state").innerText.startsWith("The connection was lost.")`)
	anna.screenshot("upload", "broken")
	if err := line.Start(); err != nil {
		t.Fatal(err)
	}
	sent := eval[float64](anna, sentSoFar)
	anna.until(fmt.Sprintf(`%s > %g`, sentSoFar, sent+0.1))
	anna.open("/")
	anna.open("/upload")
	anna.choose(file)
	anna.until(sentSoFar + ` > 0`)
	better := unique("Cut, resumed & renamed")
	anna.write("#uploads .title", better+"\r")
	anna.limitUpload(unlimited)
	anna.until(lastUpload + `.querySelector(".state").innerText.startsWith("The title is saved.")`)
	anna.screenshot("upload", "resumed")

	begun, resumed := 0, 0
	for _, l := range anna.loaded("/api/uploads") {
		switch offset := l.sent.Get("Upload-Offset"); {
		case l.method == http.MethodPost:
			begun++
		case l.method == http.MethodPatch && offset != "0" && offset != "65536": // where its first part ends
			resumed++
		}
	}
	if begun != 1 || resumed < 2 {
		t.Errorf("the upload was begun %d times and resumed %d times, want 1 and 2", begun, resumed)
	}
	v := anna.viewer()
	id := anna.uploaded()[0]
	v.waitListed(id, better)
	if got := v.must(v.get("/api/video?id=" + id)); !bytes.Equal(got.body, body) {
		t.Errorf("of %d bytes arrived %d, or others", len(body), len(got.body))
	}
	if ids, err := v.titled(title); err != nil || len(ids) != 0 {
		t.Errorf("of %s under its old title are listed %q, error %v", id, ids, err)
	}
	anna.showsFacts(id, "0:15")
}

// TestJourneyUploadCancelled: a cancelled upload leaves nothing behind, and can be started again.
func TestJourneyUploadCancelled(t *testing.T) {
	s := anySite(t)
	anna := newPerson(t, s)
	v := anna.visitor()
	title := unique("Cancelled")
	file, _ := sampleFile(t, "The game of life", title)
	text := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(text, []byte("no video"), 0o600); err != nil {
		t.Fatal(err)
	}

	anna.limitUpload(200_000)
	anna.choose(text)
	anna.until(`document.querySelectorAll("#uploads li.failed").length === 1`)
	if sent := anna.loaded("/api/uploads/"); len(sent) > 0 {
		t.Errorf("%s was sent for a file that is no video", sent[0].url)
	}
	anna.choose(file)
	anna.until(sentSoFar + ` > 0.1`)
	anna.click("#uploads > li:last-child .cancel")
	chassistest.Eventually(t, timeout, "the server is told", func() error {
		for _, l := range anna.loaded("/api/uploads/") {
			if l.method == http.MethodDelete && l.status == http.StatusNoContent {
				return nil
			}
		}
		return fmt.Errorf("asked for was %v", anna.loaded("/api/uploads/"))
	})
	anna.screenshot("upload", "cancelled")
	marker := unique("marker")
	v.waitListed(v.upload(marker, sample(t)), marker)
	if ids, err := v.titled(title); err != nil || len(ids) != 0 {
		t.Errorf("of the cancelled upload is listed %q, error %v", ids, err)
	}
	anna.limitUpload(unlimited)
	anna.click("#uploads > li:last-child .retry")
	ids := anna.uploaded()
	v.waitListed(ids[0], title)
	anna.showsFacts(ids[0], "0:15")
}

// uploading shows the page with an upload that goes on, one that is through and one that is none.
func (p *person) uploading(look func()) {
	p.t.Helper()
	folder := p.t.TempDir()
	none, short := filepath.Join(folder, "No video at all, only the name of one.mp4"), filepath.Join(folder, unique("A short one")+".mp4")
	long, body := sampleFile(p.t, "Deep into the Mandelbrot set", unique("One that takes its time"))
	if err := errors.Join(os.WriteFile(none, []byte("This is a text.\n"), 0o600), os.WriteFile(short, body[:16<<10], 0o600)); err != nil {
		p.t.Fatal(err)
	}
	p.ignore("415")
	p.open("/upload")
	p.limitUpload(100_000)
	p.choose(none, short, long)
	p.until(`document.querySelectorAll("#uploads li.failed").length === 1 && document.querySelectorAll("#uploads li.done").length === 1 &&
		document.querySelector("#uploads li:last-child progress").value > 0`)
	look()
	p.click("#uploads li:last-child .cancel")
	p.limitUpload(unlimited)
}

const unlimited = -1

// sends makes the browser send no more than this many bytes per second from now on.
func (p *person) limitUpload(perSecond float64) {
	p.t.Helper()
	command(p, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
		MatchedNetworkConditions: []*network.Conditions{{UploadThroughput: perSecond, DownloadThroughput: unlimited}},
	})
}

// sampleFile is a sample that goes by another name.
func sampleFile(t *testing.T, name, title string) (file string, body []byte) {
	t.Helper()
	body, _, err := samples.Read(name)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), title+".mp4")
	if err := os.WriteFile(file, body, 0o600); err != nil {
		t.Fatal(err)
	}
	return file, body
}

// uploadSample uploads one of the samples, with its poster, under another title.
func (v *viewer) uploadSample(name, title string) (id string) {
	v.t.Helper()
	id, err := samples.Upload(v.t.Context(), v.http, v.site.url, name, title)
	if err != nil {
		v.t.Fatal(err)
	}
	return id
}

// choose chooses files on the upload page, which looks then whether they are in the library, and is told 404 at first.
func (p *person) choose(files ...string) {
	p.t.Helper()
	p.ignore("404")
	p.do("choose files", chromedp.SetUploadFiles(chromedp.CSS("#files"), files))
}

// uploaded waits until the upload page has seen all of its videos in the library, and returns their ids.
func (p *person) uploaded() (ids []string) {
	p.t.Helper()
	p.until(`[...document.querySelectorAll("#uploads > li")].every((li) => li.classList.contains("failed") || li.querySelector("a"))`)
	for _, link := range eval[[]string](p, `[...document.querySelectorAll("#uploads > li.done a")].map((a) => a.getAttribute("href"))`) {
		ids = append(ids, strings.TrimPrefix(link, videoPage("")))
	}
	return ids
}

// upload chooses files on the upload page and returns the ids that the videos get.
func (p *person) upload(files ...string) []string {
	p.t.Helper()
	p.open("/upload")
	p.choose(files...)
	ids := p.uploaded()
	if len(ids) != len(files) {
		p.t.Fatalf("of %d uploads %d have become videos", len(files), len(ids))
	}
	return ids
}

// showsFacts: the library, whose list may be a moment old, comes to show a picture of the video, and how long it is.
func (p *person) showsFacts(id, length string) {
	p.t.Helper()
	card := fmt.Sprintf(`document.querySelector('#video-list > div:has(a[href="%s"])')`, videoPage(id))
	chassistest.Eventually(p.t, timeout, "the library has the facts of "+id, func() error {
		p.open("/")
		facts := eval[[]string](p, fmt.Sprintf(`[%s?.querySelector("img")?.getAttribute("src") ?? "", %[1]s?.querySelector(".length")?.innerText ?? ""]`, card))
		if !strings.HasPrefix(facts[0], "/api/poster?") || facts[1] != length {
			return fmt.Errorf("it has %q", facts)
		}
		return nil
	})
	p.until(card + `.querySelector("img").naturalWidth === 640`)
}
