//go:build unix

package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"io/fs"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/web"
	"flixtube/flixtube/launch"
	"flixtube/flixtube/samples"
)

// site is a running FlixTube as its visitors see it.
type site struct {
	url string // the gateway's

	// Of one that was started here:
	system *launch.System // nil if it was not
	videos string         // the folder of the videos, if they are in one
	rabbit *chassistest.RabbitMQServer
	began  time.Time
}

// timeout is how long a test waits for anything, in seconds that a slow machine needs.
const timeout = time.Minute

// stop stops services behind the gateway until start, or until the end of the test.
func (s *site) stop(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		s.system.Services[name].Stop()
	}
	t.Cleanup(func() { s.start(t, names...) })
}

// start starts services and returns when all are ready.
func (s *site) start(tb testing.TB, names ...string) {
	tb.Helper()
	for _, name := range names {
		s.system.Services[name].Start()
	}
	s.waitReady(tb)
}

func (s *site) waitReady(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := s.system.WaitReady(ctx); err != nil {
		tb.Fatal(err)
	}
}

// kill ends a process at once, as kill -9 does. It is restarted.
func kill(tb testing.TB, p *launch.Process) {
	tb.Helper()
	if pid := p.PID(); pid != 0 {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			tb.Errorf("kill %s: %v", p.Name, err)
		}
	}
}

// stored returns what the folder of videos holds besides those that were there before.
func (s *site) stored(before []string) (names []string, err error) {
	err = fs.WalkDir(os.DirFS(s.videos), ".", func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path == "." || path == ".beginning" || strings.HasPrefix(path, ".unfinished-") && (!strings.Contains(path, "/") || e.Name() == "lock"):
			return nil // the directory itself, and those of running processes
		case !slices.Contains(before, path):
			names = append(names, path)
		}
		if e.IsDir() {
			return fs.SkipDir
		}
		return nil
	})
	return names, err
}

// waitNothingStored returns when the folder holds nothing besides those that were there before.
func (s *site) waitNothingStored(t *testing.T, before []string) {
	t.Helper()
	chassistest.Eventually(t, timeout, "nothing is left of the upload", func() error {
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
	video, _, err := samples.Read("The game of life")
	if err != nil {
		t.Fatal(err)
	}
	return video
}

// unique returns a title that no other video has.
func unique(title string) string { return title + " " + rand.Text()[:8] }

// viewer is a browser with a cookie of its own, as far as HTTP goes.
type viewer struct {
	t    *testing.T
	site *site
	http *http.Client
}

func newViewer(t *testing.T, s *site) *viewer {
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

// id is what the cookie holds, and signs.
func (v *viewer) id() string {
	v.t.Helper()
	u, err := url.Parse(v.site.url)
	if err != nil {
		v.t.Fatal(err)
	}
	for _, cookie := range v.http.Jar.Cookies(u) {
		if strings.TrimPrefix(cookie.Name, "__Host-") == "viewer" { // that prefix by HTTPS
			id, _, _ := strings.Cut(cookie.Value, ".")
			return id
		}
	}
	v.t.Fatal("the gateway gave no cookie")
	return ""
}

// response is a whole one.
type response struct {
	status int
	header http.Header
	body   []byte
}

// call sends a request and reads the response. headers are names and values in turn.
func call(ctx context.Context, client *http.Client, method, address string, body io.Reader, headers ...string) (response, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return response{}, err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		return response{}, err
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	return response{res.StatusCode, res.Header, got}, err
}

// get returns the body of a response with 200; any other is an error.
func get(address string, headers ...string) ([]byte, error) {
	client := http.Client{Timeout: 2 * time.Minute}
	r, err := call(context.Background(), &client, http.MethodGet, address, nil, headers...)
	if err == nil && r.status != http.StatusOK {
		err = fmt.Errorf("%s is answered %d %.200s", address, r.status, r.body)
	}
	return r.body, err
}

// get asks for a path at the gateway, or another address.
func (v *viewer) get(address string, headers ...string) (response, error) {
	return v.send(http.MethodGet, address, nil, headers...)
}

func (v *viewer) send(method, address string, body io.Reader, headers ...string) (response, error) {
	if strings.HasPrefix(address, "/") {
		address = v.site.url + address
	}
	return call(v.t.Context(), v.http, method, address, body, headers...)
}

func (v *viewer) must(a response, err error) response {
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

func (v *viewer) uploaded(a response) string {
	v.t.Helper()
	var created struct {
		Video struct {
			ID string `json:"id"`
		} `json:"video"`
	}
	if err := json.Unmarshal(a.body, &created); a.status != http.StatusCreated || err != nil || created.Video.ID == "" {
		v.t.Fatalf("the upload was answered %d %.300s", a.status, a.body)
	}
	return created.Video.ID
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
	chassistest.Eventually(v.t, timeout, "the video is listed", func() error {
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
func (v *viewer) watchFirstByte(id string) {
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

// recorded returns the videos of all views of the viewer, newest first, as history itself has them.
func (v *viewer) recorded() (ids []string, err error) {
	body, err := get(v.site.system.Services["history"].Address+"/history", web.ViewerHeader, v.id())
	if err != nil {
		return nil, err
	}
	var answer struct{ History []struct{ VideoID string } }
	err = json.Unmarshal(body, &answer)
	for _, line := range answer.History {
		ids = append(ids, line.VideoID)
	}
	return ids, err
}

// wantHistory checks that the viewer's views come to be those of want, newest first, and stay at that: it watches one
// more video, whose viewing goes the same way behind all others. The page has one line for each video. It returns the id
// of that last video, which is the newest line from then on.
func (v *viewer) wantHistory(want ...string) (newest string) {
	v.t.Helper()
	newest = v.upload(unique("marker"), sample(v.t))
	view := uuid.NewString()
	chassistest.Eventually(v.t, timeout, "one more is watched", func() error {
		a, err := v.get("/api/video?id="+newest+"&view="+view, "Range", "bytes=0-0")
		if err == nil && a.status != http.StatusPartialContent {
			err = fmt.Errorf("answered %d", a.status)
		}
		return err
	})
	want = append([]string{newest}, want...)
	var lines []string
	for _, id := range want {
		if !slices.Contains(lines, id) {
			lines = append(lines, id)
		}
	}
	becomes := func(what string, want []string, look func() ([]string, error)) {
		v.t.Helper()
		chassistest.Eventually(v.t, timeout, what, func() error {
			got, err := look()
			if err == nil && !slices.Equal(got, want) {
				err = fmt.Errorf("it is %.8q, want %.8q", got, want)
			}
			if len(got) > len(want) {
				v.t.Fatal(err) // waiting longer will not make it shorter
			}
			return err
		})
	}
	if v.site.system != nil {
		becomes("what history recorded", want, v.recorded)
	}
	becomes("the history", lines, v.history)
	return newest
}

// recommended returns the reasons for which videos are recommended to the viewer, by their ids.
func (v *viewer) recommended() (reasons map[string]string, err error) {
	found, err := recommendations(v.site.system, v.id())
	reasons = map[string]string{}
	for _, r := range found {
		reasons[r.VideoID] = r.Reason
	}
	return reasons, err
}

// recommendation is one of those that the service itself returns.
type recommendation struct{ VideoID, Reason string }

func recommendations(s *launch.System, viewer string) ([]recommendation, error) {
	body, err := get(s.Services["recommendations"].Address+"/recommendations?limit=50", web.ViewerHeader, viewer)
	if err != nil {
		return nil, err
	}
	var found struct{ Recommendations []recommendation }
	err = json.Unmarshal(body, &found)
	return found.Recommendations, err
}
