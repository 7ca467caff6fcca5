//go:build unix

package e2e

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/chromedp/chromedp"
)

// begin uploads the first bytes of a file, and returns the path of the upload.
func (v *viewer) begin(file string, body []byte, first int) string {
	v.t.Helper()
	a := v.must(v.send(http.MethodPost, "/api/uploads", nil, "Tus-Resumable", "1.0.0", "Upload-Length", strconv.Itoa(len(body)),
		"Upload-Metadata", "filename "+base64.StdEncoding.EncodeToString([]byte(filepath.Base(file)))))
	path := a.header.Get("Location")
	if a.status != http.StatusCreated {
		v.t.Fatalf("the upload was answered %d", a.status)
	}
	a = v.must(v.send(http.MethodPatch, path, bytes.NewReader(body[:first]), "Tus-Resumable", "1.0.0", "Upload-Offset", "0",
		"Content-Type", "application/offset+octet-stream"))
	if a.status != http.StatusNoContent {
		v.t.Fatalf("its first bytes were answered %d", a.status)
	}
	return path
}

// TestJourneyRecovery: the owner's other browser gets the videos by a code, and continues an upload. A new code makes the old one
// invalid, and a revoked one is.
func TestJourneyRecovery(t *testing.T) {
	s := anySite(t)
	anna, phoneOfAnna, otto := newPerson(t, s), newPerson(t, s), newPerson(t, s)
	phoneOfAnna.ignore("404") // the page asks whether the library has the video yet
	otto.ignore("404")
	v := anna.visitor()
	title, begun := unique("Mine"), unique("Begun")
	id := v.upload(title, sample(t))
	v.waitListed(id, title)
	file, body := sampleFile(t, "The game of life", begun)
	v.begin(file, body, 64<<10)
	v.begin(filepath.Join(t.TempDir(), unique("Given up")+".mp4"), body, 64<<10)

	enter := func(p *person, code string) {
		t.Helper()
		p.open("/upload")
		p.click("#recovery summary")
		p.write("#recovery input[name=code]", code)
		p.click(`#recovery form[action="/recovery/use"] button`)
	}
	newCode := func() string {
		t.Helper()
		anna.open("/upload")
		anna.click(`#recovery form[action="/recovery/make"] button:not([formaction])`)
		anna.until(`location.pathname === "/recovery/make" && document.getElementById("recovery-code") !== null`)
		return eval[string](anna, `document.getElementById("recovery-code").textContent`)
	}
	anna.open("/upload")
	anna.until(`document.querySelectorAll("#unfinished li").length === 2 && document.querySelectorAll("#own-list li").length === 1`)
	anna.isAccessible("the upload page with lists")
	anna.screenshot("recovery", "uploads")
	anna.click(`#unfinished li:first-child button`) // the last begun
	anna.arrives("/upload", `document.querySelectorAll("#unfinished li").length === 1`)
	old := newCode()
	anna.isAccessible("the recovery code")
	anna.screenshot("recovery", "code")

	phoneOfAnna.setWindow(phone, light)
	enter(phoneOfAnna, old)
	phoneOfAnna.arrives("/upload", fmt.Sprintf(`document.querySelector("#own-list .title").textContent === %q`, title))
	phoneOfAnna.noScrollingSideways("the upload page")
	phoneOfAnna.isAccessible("the upload page on a phone")
	phoneOfAnna.screenshot("recovery", "recovered")
	phoneOfAnna.do("continue", chromedp.SetUploadFiles(chromedp.CSS("#unfinished input[type=file]"), []string{file}))
	continued := phoneOfAnna.uploaded()
	v.waitListed(continued[0], begun)
	if got := v.must(v.get("/api/video?id=" + continued[0])); !bytes.Equal(got.body, body) {
		t.Errorf("of %d bytes arrived %d, or others", len(body), len(got.body))
	}

	anna.withoutScripts()
	otto.withoutScripts()
	code := newCode()
	enter(otto, old)
	otto.until(`document.getElementById("recovery-error")?.textContent.startsWith("This recovery code is not valid.")`)
	otto.screenshot("recovery", "wrong")
	anna.open("/upload")
	anna.click(`#recovery button[formaction="/recovery/revoke"]`)
	anna.arrives("/upload", `document.querySelector("#recovery [formaction]") === null`)
	enter(otto, code)
	otto.until(`document.getElementById("recovery-error") !== null && document.getElementById("own-list") === null`)

	phoneOfAnna.open("/upload")
	phoneOfAnna.click(`#own-list li:last-child summary`)
	phoneOfAnna.screenshot("recovery", "remove")
	phoneOfAnna.click(`#own-list li:last-child button`)
	phoneOfAnna.arrives("/upload", fmt.Sprintf(`[...document.querySelectorAll("#own-list .title")].map((t) => t.textContent).join() === %q`, begun))
	v.remove(continued[0])
}
