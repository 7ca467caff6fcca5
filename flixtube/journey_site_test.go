//go:build unix

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/web"
)

// site is a running FlixTube as its visitors see it.
type site struct {
	url    string  // the gateway's
	inside *system // what lies behind; nil when it was not started here
	videos string  // the folder of the videos, if they are in one that can be looked at

	big     func() (file string, err error) // a video that players fetch in parts
	browser func() (context.Context, error) // a Chromium for all journeys
}

// patience is for everything that is to come about, on a slow machine.
const patience = time.Minute

func waitFor(t *testing.T, what string, try func() error) {
	t.Helper()
	if err := chassistest.Poll(patience, try); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// stop and start act on services behind the gateway; start returns when they are ready. A journey starts what it has
// stopped, or is the last.
func (s site) stop(names ...string) {
	for _, name := range names {
		s.inside.processes[name].stop()
		s.inside.absent = append(s.inside.absent, name)
	}
}

func (s site) start(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		s.inside.processes[name].start()
		s.inside.absent = slices.DeleteFunc(s.inside.absent, func(n string) bool { return n == name })
	}
	if err := s.inside.waitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// stored returns what the folder of videos holds besides those that were there before.
func (s site) stored(before []string) (names []string, err error) {
	entries, err := os.ReadDir(s.videos)
	for _, e := range entries {
		if !slices.Contains(before, e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// waitNothingStored returns when the folder holds nothing besides those that were there before.
func (s site) waitNothingStored(t *testing.T, before []string) {
	t.Helper()
	waitFor(t, "nothing is left of the upload", func() error {
		more, err := s.stored(before)
		if err == nil && len(more) > 0 {
			err = fmt.Errorf("stored are %q", more)
		}
		return err
	})
}

// sample returns a small video.
func sample(t *testing.T) []byte {
	t.Helper()
	files, err := filepath.Glob("samples/*.mp4")
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	var smallest []byte
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if smallest == nil || len(body) < len(smallest) {
			smallest = body
		}
	}
	return smallest
}

// unique returns a title that no other video has.
func unique(title string) string { return title + " " + rand.Text()[:8] }

// viewer is a browser with a cookie of its own, as far as HTTP goes.
type viewer struct {
	t    *testing.T
	site site
	http *http.Client
}

func newViewer(t *testing.T, s site) *viewer {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	v := &viewer{t, s, &http.Client{
		Jar: jar, Timeout: 3 * time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	v.must(v.get("/upload"))
	return v
}

// id is what the cookie holds.
func (v *viewer) id() string {
	v.t.Helper()
	u, err := url.Parse(v.site.url)
	if err != nil {
		v.t.Fatal(err)
	}
	for _, cookie := range v.http.Jar.Cookies(u) {
		if cookie.Name == "viewer" {
			return cookie.Value
		}
	}
	v.t.Fatal("the gateway gave no cookie")
	return ""
}

// answer is what came back, whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// get asks for an address, or a path at the gateway. headers are names and values in turn.
func (v *viewer) get(address string, headers ...string) (answer, error) {
	return v.send(http.MethodGet, address, nil, headers...)
}

func (v *viewer) send(method, address string, body io.Reader, headers ...string) (answer, error) {
	if strings.HasPrefix(address, "/") {
		address = v.site.url + address
	}
	req, err := http.NewRequestWithContext(v.t.Context(), method, address, body)
	if err != nil {
		return answer{}, err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := v.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, got}, err
}

func (v *viewer) must(a answer, err error) answer {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
	return a
}

// upload sends a video and returns its id.
func (v *viewer) upload(title string, body []byte) string {
	v.t.Helper()
	return v.uploaded(v.must(v.send(http.MethodPost, "/api/upload", bytes.NewReader(body),
		"File-Name", url.PathEscape(title+".mp4"), "Content-Type", "video/mp4")))
}

func (v *viewer) uploaded(a answer) string {
	v.t.Helper()
	var taken struct {
		Video struct {
			ID string `json:"id"`
		} `json:"video"`
	}
	if err := json.Unmarshal(a.body, &taken); a.status != http.StatusCreated || err != nil || taken.Video.ID == "" {
		v.t.Fatalf("the upload was answered %d %.300s", a.status, a.body)
	}
	return taken.Video.ID
}

// card is a link to a video, as lists on pages hold it.
type card struct{ id, title string }

var (
	cardLink    = regexp.MustCompile(`(?s)<div[^>]*><a href="/video\?id=([^"]*)">(.*?)</a>`)
	lineLink    = regexp.MustCompile(`<li[^>]*>\s*<a href="/video\?id=([^"]*)"`)
	tag         = regexp.MustCompile(`<[^>]*>`)
	missingPart = regexp.MustCompile(`<p class="missing"[^>]*>[^<]*`)
)

// page gets a page; one that comes without a part is an error.
func (v *viewer) page(path string) (string, error) {
	a, err := v.get(path)
	if err != nil {
		return "", err
	}
	if a.status != http.StatusOK {
		return "", fmt.Errorf("%s answered %d", path, a.status)
	}
	if part := missingPart.Find(a.body); part != nil {
		return "", fmt.Errorf("%s: %s", path, part)
	}
	return string(a.body), nil
}

// list returns the cards of a list on the home page.
func (v *viewer) list(path, list string) ([]card, error) {
	page, err := v.page(path)
	if err != nil {
		return nil, err
	}
	_, rest, _ := strings.Cut(page, ` id="`+list+`"`)
	section, _, _ := strings.Cut(rest, "</section>")
	var found []card
	for _, m := range cardLink.FindAllStringSubmatch(section, -1) {
		found = append(found, card{html.UnescapeString(m[1]), html.UnescapeString(tag.ReplaceAllString(m[2], ""))})
	}
	return found, nil
}

// titled returns the ids of the listed videos with this title.
func (v *viewer) titled(title string) (ids []string, err error) {
	found, err := v.list("/?"+url.Values{"q": {title}}.Encode(), "video-list")
	for _, c := range found {
		if strings.Contains(c.title, title) {
			ids = append(ids, c.id)
		}
	}
	return ids, err
}

// waitListed returns once the home page lists the video under its title, once.
func (v *viewer) waitListed(id, title string) {
	v.t.Helper()
	waitFor(v.t, "the video is listed", func() error {
		ids, err := v.titled(title)
		if err == nil && !slices.Equal(ids, []string{id}) {
			err = fmt.Errorf("%q lists %q, want %s", title, ids, id)
		}
		return err
	})
}

// watch plays as players do, in ranges, all under the id of one viewing, and checks the bytes.
func (v *viewer) watch(id string, view uuid.UUID, want []byte) error {
	address := fmt.Sprintf("/api/video?id=%s&view=%s", id, view)
	n := len(want)
	for _, part := range []struct{ start, end int }{{0, n}, {n / 2, n}, {0, n / 3}, {n - 1000, n}} {
		a, err := v.get(address, "Range", fmt.Sprintf("bytes=%d-%d", part.start, part.end-1))
		if err != nil {
			return err
		}
		if a.status != http.StatusPartialContent || !bytes.Equal(a.body, want[part.start:part.end]) {
			return fmt.Errorf("range %v was answered %d with %d bytes", part, a.status, len(a.body))
		}
	}
	return nil
}

func (v *viewer) mustWatch(id string, want []byte) {
	v.t.Helper()
	if err := v.watch(id, uuid.New(), want); err != nil {
		v.t.Fatalf("watch: %v", err)
	}
}

// looksInto watches a little.
func (v *viewer) looksInto(id string) {
	v.t.Helper()
	a := v.must(v.get("/api/video?id="+id+"&view="+uuid.NewString(), "Range", "bytes=0-0"))
	if a.status != http.StatusPartialContent {
		v.t.Errorf("%s is answered %d", id, a.status)
	}
}

// history returns the videos of the viewer's history, newest first.
func (v *viewer) history() (ids []string, err error) {
	page, err := v.page("/history")
	for _, m := range lineLink.FindAllStringSubmatch(page, -1) {
		ids = append(ids, m[1])
	}
	return ids, err
}

// wantHistory checks that the viewer's history comes to be want, newest first, and stays at that: it watches one
// more video, whose viewing goes the same way behind all others. It returns the id of that video, which is the
// newest line from then on.
func (v *viewer) wantHistory(want ...string) (newest string) {
	v.t.Helper()
	newest = v.upload(unique("marker"), sample(v.t))
	view := uuid.NewString()
	waitFor(v.t, "one more is watched", func() error {
		a, err := v.get("/api/video?id="+newest+"&view="+view, "Range", "bytes=0-0")
		if err == nil && a.status != http.StatusPartialContent {
			err = fmt.Errorf("answered %d", a.status)
		}
		return err
	})
	want = append([]string{newest}, want...)
	waitFor(v.t, "the history", func() error {
		got, err := v.history()
		if err == nil && !slices.Equal(got, want) {
			err = fmt.Errorf("it is %.8q, want %.8q", got, want)
		}
		if len(got) > len(want) {
			v.t.Fatal(err) // waiting longer will not make it shorter
		}
		return err
	})
	return newest
}

// recommended returns the reasons for which videos are recommended to the viewer, by their ids; it asks the
// service itself.
func (v *viewer) recommended() (reasons map[string]string, err error) {
	a, err := v.get(v.site.inside.addresses["recommendations"]+"/recommendations?limit=50", web.ViewerHeader, v.id())
	var found struct {
		Recommendations []struct{ VideoID, Reason string }
	}
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("recommendations answered %d", a.status)
	}
	if err = errors.Join(err, json.Unmarshal(a.body, &found)); err != nil {
		return nil, err
	}
	reasons = map[string]string{}
	for _, r := range found.Recommendations {
		reasons[r.VideoID] = r.Reason
	}
	return reasons, nil
}
