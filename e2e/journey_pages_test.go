//go:build unix

package e2e

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"flixtube/chassis/chassistest"
)

// The cards of the library, as the page has them.
const listed = `[...document.querySelectorAll("#video-list > div .title")].map(title => title.textContent)`

// TestJourneySearch: as one types and by the plain form, page by page.
func TestJourneySearch(t *testing.T) {
	s := anySite(t)
	anna, otto := newPerson(t, s), newPerson(t, s)
	v := anna.visitor()
	word := unique("찾기")
	tiny := sample(t)[:16<<10] // its index, and hardly more: nobody plays it
	var ids []string
	for i := range 25 {
		ids = append(ids, v.upload(fmt.Sprintf("%s %d", word, i), tiny))
	}
	v.waitListed(ids[24], word+" 24")
	chassistest.Eventually(t, timeout, "the first is listed", func() error {
		found, err := v.list("/?"+url.Values{"q": {word}, "skip": {"24"}}.Encode(), "video-list")
		if err == nil && len(found) != 1 {
			err = fmt.Errorf("%d are on the second page", len(found))
		}
		return err
	})

	anna.open("/")
	anna.write(".search input", word+" 23")
	anna.until(fmt.Sprintf(`%s.join() === %q && new URLSearchParams(location.search).get("q") === %q`, listed, word+" 23", word+" 23"))
	anna.screenshot("search", "typed")
	anna.write(".search input", "nothing is named "+word)
	anna.until(listed + `.length === 0 && !!document.querySelector(".empty")`)
	anna.screenshot("search", "nothing")

	otto.withoutScripts()
	otto.open("/")
	otto.write(".search input", word+"\r")
	first := "/?" + url.Values{"q": {word}}.Encode()
	otto.arrives(first, listed+`.length === 24`)
	otto.click(`.pager a[rel=next]`)
	otto.arrives(first+"&skip=24", fmt.Sprintf(`%s.join() === %q`, listed, word+" 0"))
	otto.click(`#video-list a`)
	otto.arrives(videoPage(ids[0]), `!!document.querySelector("video")`)
	otto.do("go back", chromedp.Evaluate[chromedp.Void](`history.back()`))
	otto.arrives(first+"&skip=24", `true`)
	otto.do("reload", chromedp.Reload())
	otto.until(fmt.Sprintf(`%s.join() === %q`, listed, word+" 0"))
	otto.click(`.pager a[rel=prev]`)
	otto.arrives(first, listed+`.length === 24`)

	for _, id := range ids {
		v.remove(id)
	}
}

// TestJourneyHostileTitles are shown as text, and the pages around them stay whole.
func TestJourneyHostileTitles(t *testing.T) {
	s := anySite(t)
	anna := newPerson(t, s)
	v := anna.visitor()
	tiny := sample(t)[:16<<10]
	mark := unique("hostile")
	shown := map[string]string{} // by the name under which it is sent
	for _, name := range []string{
		`<script>hacked=1`, `"><img src=x onerror=hacked=1>`, `' autofocus onfocus='hacked=1`, `<!--`, `]]>`, `{{.}} ${hacked=1} %s %d`, `&lt;b&gt; &amp;`, `javascript:hacked=1`, `مرحبا بالعالم`, `שלום "עולם"`, `한국어 제목`, `👩‍👩‍👧‍👦 🎬`, `…..  .…`,
	} {
		shown[name+" "+mark] = name + " " + mark
	}
	shown["one\r\ntwo\x1b[31m\x00\x7f "+mark] = "onetwo[31m " + mark
	shown["\u202egnp.exe\u2066 "+mark] = "gnp.exe " + mark
	shown[mark+strings.Repeat(" long", 150)] = "" // cut
	shown[mark+strings.Repeat("ü", 400)] = ""     // cut, without a place to break the line
	ids := map[string]string{}
	for name, title := range shown {
		a := v.must(v.send(http.MethodPost, "/api/upload", bytes.NewReader(tiny), "File-Name", url.PathEscape(name+".mp4")))
		ids[v.uploaded(a)] = title
	}
	chassistest.Eventually(t, timeout, "all are listed", func() error {
		found, err := v.titled(mark)
		if err == nil && len(found) != len(ids) {
			err = fmt.Errorf("%d of %d are listed", len(found), len(ids))
		}
		return err
	})

	whole := func(page string) {
		t.Helper()
		const foreign = `document.querySelectorAll("main script, main img[onerror], main b, [onmouseover], [onfocus], [autofocus]").length`
		if got := eval[string](anna, `[typeof hacked, `+foreign+`, document.querySelectorAll("body > header, body > main, body > footer").length].join()`); got != "undefined,0,3" {
			t.Errorf("%s is not whole: %s", page, got)
		}
		anna.noScrollingSideways(page)
	}
	anna.setWindow(phone, light)
	anna.open("/?" + url.Values{"q": {mark}}.Encode())
	cards := eval[[][2]string](anna, `[...document.querySelectorAll("#video-list > div > a")].map(a => [a.search.replace("?id=", ""), a.querySelector(".title").textContent])`)
	if len(cards) != len(ids) {
		t.Errorf("%d cards are shown, want %d", len(cards), len(ids))
	}
	for _, card := range cards {
		id, title := card[0], card[1]
		if want := ids[id]; title != want && (want != "" || !strings.HasPrefix(title, mark) || len([]rune(title)) > 200) {
			t.Errorf("shown is %.300q, want %q", title, want)
		}
		ids[id] = title
	}
	whole("the list")
	anna.setWindow(wide, light)
	anna.screenshot("hostile", "list")
	anna.setWindow(phone, light)
	for id := range ids {
		v.watchFirstByte(id)
	}
	lines := func() []string {
		t.Helper()
		anna.open("/history")
		return eval[[]string](anna, `[...document.querySelectorAll("#history-list .title")].map((title) => title.textContent)`)
	}
	chassistest.Eventually(t, timeout, "the history has all", func() error {
		if got, want := slices.Sorted(slices.Values(lines())), slices.Sorted(maps.Values(ids)); !slices.Equal(got, want) {
			return fmt.Errorf("it shows %.300q, want %.300q", got, want)
		}
		return nil
	})
	whole("the history")
	anna.screenshot("hostile", "history")
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		title := ids[id]
		anna.open(videoPage(id))
		got := eval[[]string](anna, `[document.querySelector("h1").textContent, document.querySelector(".owner input[name=name]").value, document.title.slice(0, -" · FlixTube".length)]`)
		if want := []string{title, title, strings.Join(strings.Fields(title), " ")}; !slices.Equal(got, want) { // document.title has no two spaces
			t.Errorf("the page of %q shows %q", title, got)
		}
		whole("the page of " + title)
		v.remove(id)
	}

	folder := t.TempDir()
	var files []string
	for _, name := range []string{"<img src=x onerror=hacked=1>", "\"'><script>hacked=1<", "مرحبا\u202egnp", "\n\x01"} {
		files = append(files, filepath.Join(folder, name+".mp4"))
		if err := os.WriteFile(files[len(files)-1], []byte("no video"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	anna.setWindow(phone, light)
	anna.ignore("415")
	anna.open("/upload")
	anna.choose(files...)
	anna.until(`document.querySelectorAll("#uploads li.failed").length === 4`)
	whole("the page of uploads")
	anna.screenshot("hostile", "upload")
}

// ownersForm selects the folded part of a watch page in which its owner sends a form to that path.
func ownersForm(action string) string {
	return fmt.Sprintf(`.owner details:has(form[action=%q])`, action)
}

// TestJourneyOwner renames and removes; nobody else is offered that.
func TestJourneyOwner(t *testing.T) {
	s := anySite(t)
	anna, otto := newPerson(t, s), newPerson(t, s)
	v := anna.visitor()
	title, better := unique("A title"), unique(`A "better" </title></h1><script>hacked=1</script> &amp; 제목`)
	id := v.upload(title, sample(t))
	v.waitListed(id, title)

	v.upload(unique("Another"), sample(t)) // to be offered when the first is gone
	otto.open(videoPage(id))
	if eval[bool](otto, `document.querySelector(".owner") !== null`) {
		t.Error("a viewer who is not the owner is offered to rename it")
	}
	anna.open(videoPage(id))
	anna.click(ownersForm("/video/rename") + ` summary`)
	anna.write(`.owner input[name=name]`, better)
	anna.screenshot("owner", "rename")
	anna.click(ownersForm("/video/rename") + ` button`)
	anna.arrives(videoPage(id), fmt.Sprintf(`document.querySelector("h1").textContent === %q`, better))
	otto.findListed(id, better)

	anna.click(ownersForm("/video/remove") + ` summary`)
	anna.screenshot("owner", "remove")
	anna.click(ownersForm("/video/remove") + ` button`)
	anna.arrives("/", `true`)
	chassistest.Eventually(t, timeout, "it is gone", func() error {
		ids, err := v.titled(better)
		if err == nil && len(ids) > 0 {
			err = fmt.Errorf("listed are %q", ids)
		}
		return err
	})
	otto.ignore("404")
	chassistest.Eventually(t, timeout, "others cannot find it", func() error { // pages may be a moment old
		otto.open(videoPage(id))
		if status := eval[string](otto, `document.querySelector(".error .status")?.textContent ?? ""`); status != "404" {
			return fmt.Errorf("the status is %q", status)
		}
		return nil
	})
	otto.until(`document.querySelectorAll("#next-list > div").length > 0`)
}

// TestJourneyLanguage: pages are in the browser's language, or in the one that was chosen.
func TestJourneyLanguage(t *testing.T) {
	s := anySite(t)
	anna := newPerson(t, s)
	anna.setLanguage("ko-KR,ko;q=0.9,en;q=0.5")
	anna.open("/history")
	anna.until(`document.documentElement.lang === "ko" && document.querySelector("h1").textContent === "시청 기록"`)
	anna.isAccessible("the Korean history")
	anna.screenshot("language", "history")
	anna.click(`.foot button[lang=en]`)
	anna.arrives("/history", `document.documentElement.lang === "en" && document.querySelector("h1").textContent === "History"`)
	anna.open("/")
	anna.until(`document.documentElement.lang === "en"`)
	anna.click(`.foot button[lang=ko]`)
	anna.arrives("/", `document.documentElement.lang === "ko"`)
	anna.isAccessible("the Korean library")
	anna.screenshot("language", "home")
	needsAxe(t)
}

// TestJourneyWithoutScripts: browsing, watching, uploading and the history work without scripts.
func TestJourneyWithoutScripts(t *testing.T) {
	s := anySite(t)
	anna := newPerson(t, s)
	anna.withoutScripts()
	title := unique("By the plain form")
	file := filepath.Join(t.TempDir(), title+".mp4")
	if err := os.WriteFile(file, sample(t), 0o600); err != nil {
		t.Fatal(err)
	}
	anna.open("/upload")
	anna.do("choose a file", chromedp.SetUploadFiles(chromedp.CSS("#files"), []string{file}))
	anna.screenshot("plain", "upload")
	anna.click("#upload-form button[type=submit]")
	anna.arrives("/", `true`)
	v := anna.viewer()
	var id string
	chassistest.Eventually(t, timeout, "it is listed", func() error {
		ids, err := v.titled(title)
		if err == nil && len(ids) != 1 {
			err = fmt.Errorf("listed are %q", ids)
		}
		id = strings.Join(ids, "")
		return err
	})
	anna.findListed(id, title)
	anna.screenshot("plain", "home")
	anna.follow(id, title)
	anna.clickAt(`(({ x, bottom }) => [x + 32, bottom - 48])(player.getBoundingClientRect())`) // the player's own button
	anna.plays()
	anna.screenshot("plain", "watch")
	newest := v.wantHistory(id)
	anna.open("/history")
	anna.screenshot("plain", "history")
	anna.click(fmt.Sprintf(`#history-list li:has(a[href=%q]) button`, videoPage(newest)))
	anna.arrives("/history", `document.querySelectorAll("#history-list li").length === 1`)
}

// TestJourneyKeyboard: everything up to a video is reached with the keyboard alone, and shows that it is.
func TestJourneyKeyboard(t *testing.T) {
	s := anySite(t)
	anna := newPerson(t, s)
	v := anna.visitor()
	title := unique("By keyboard")
	id := v.upload(title, sample(t))
	v.waitListed(id, title)
	press := func(key string) {
		t.Helper()
		anna.do("press a key", chromedp.KeyEvent(key))
	}

	anna.open("/?" + url.Values{"q": {title}}.Encode())
	var reached []string
	for len(reached) < 20 && (len(reached) == 0 || reached[len(reached)-1] != title) {
		press("\t")
		at := eval[[]string](anna, `(() => {
			const at = document.activeElement, box = at.getBoundingClientRect();
			const seen = getComputedStyle(at).outlineStyle !== "none" && box.width > 0 && box.top >= 0 && box.bottom <= innerHeight;
			return [at.querySelector(".title")?.textContent ?? at.getAttribute("aria-label") ?? at.innerText, seen ? "seen" : "not to be seen"];
		})()`)
		if at[1] != "seen" {
			t.Errorf("the focus on %q is %s", at[0], at[1])
		}
		reached = append(reached, at[0])
	}
	want := []string{"Skip to the content", "FlixTube, home", "Search titles", "Search", "Library", "History", "Upload", title}
	if !slices.Equal(reached, want) {
		t.Fatalf("with the tab key one reaches %q, want %q", reached, want)
	}
	anna.screenshot("keyboard", "card")
	press("\r")
	anna.arrives(videoPage(id), `document.getElementById("player") !== null`)
	anna.until(`!player.paused && player.currentTime > 0.3`) // a video opened from a card plays at once
	press("k")
	anna.until(`player.paused`)
	press("k")
	anna.until(`!player.paused`)
	press(" ")
	anna.until(`player.paused`)

	anna.open("/history")
	press("\t")
	press("\r")
	anna.until(`document.activeElement.id === "main"`)
}

// noScrollingSideways: the page is no wider than its window.
func (p *person) noScrollingSideways(page string) {
	p.t.Helper()
	if wide := eval[int64](p, `document.documentElement.scrollWidth`); wide > p.size.width {
		p.t.Errorf("%s is %d wide in a window of %d", page, wide, p.size.width)
	}
}

// remove takes a video of this viewer away.
func (v *viewer) remove(id string) {
	v.t.Helper()
	a := v.must(v.send(http.MethodPost, "/video/remove", strings.NewReader(url.Values{"id": {id}}.Encode()),
		"Content-Type", "application/x-www-form-urlencoded"))
	if a.status != http.StatusSeeOther {
		v.t.Errorf("removing %s was answered %d", id, a.status)
	}
}
