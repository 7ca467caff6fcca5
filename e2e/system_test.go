//go:build unix

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/google/uuid"

	"flixtube/chassis/chassistest"
	"flixtube/flixtube/launch"
)

// These tests reach behind the gateway: they stop, kill and start services.

// TestBeforeFirstStart: uploads and viewings from before the very first start of metadata, history and recommendations
// reach them when they start.
func TestBeforeFirstStart(t *testing.T) {
	t.Run("embedded", func(t *testing.T) { beforeFirstStart(t, nil) })
	t.Run("RabbitMQ", func(t *testing.T) {
		beforeFirstStart(t, map[string]string{"RABBIT": chassistest.RabbitMQ(t).URL})
	})
}

func beforeFirstStart(t *testing.T, vars map[string]string) {
	startsOwn(t)
	late := []string{"metadata", "history", "recommendations"}
	s := newSite(t, vars, late...)
	body := sample(t)
	a := newViewer(t, s)
	names := []string{unique("early one"), unique("early two")}
	one, two := a.upload(names[0], body), a.upload(names[1], body)
	a.mustWatch(one, body)
	a.mustWatch(two, body)
	home := a.must(a.get("/"))
	if part := string(missingPart.Find(home.body)); home.status != http.StatusOK || !strings.Contains(part, "the library") {
		t.Errorf("without metadata the home page comes with %d and says %q", home.status, part)
	}

	s.start(t, late...)
	a.waitListed(one, names[0])
	a.waitListed(two, names[1])
	a.wantHistory(two, one)
	b := newViewer(t, s)
	b.mustWatch(one, body)
	chassistest.Eventually(t, timeout, "the second is recommended to a viewer of the first", func() error {
		reasons, err := b.recommended()
		if err == nil && (reasons[two] != "co-viewed" || reasons[one] != "") {
			err = fmt.Errorf("recommended are %q, want %s as co-viewed and not %s", reasons, two, one)
		}
		return err
	})
}

// TestServicesAway: uploads and viewings reach a service that was stopped meanwhile, when it is back.
func TestServicesAway(t *testing.T) {
	s := withEmbedded(t)
	body := sample(t)
	v := newViewer(t, s)
	name := unique("while metadata is away")
	s.stop(t, "metadata")
	id := v.upload(name, body)
	chassistest.Eventually(t, timeout, "the home page says what it lacks", func() error { // a moment later: it remembers the library
		home, err := v.get("/")
		if err == nil && (home.status != http.StatusOK || !missingPart.Match(home.body)) {
			err = fmt.Errorf("without metadata it comes with %d", home.status)
		}
		return err
	})
	s.start(t, "metadata")
	v.waitListed(id, name)

	s.stop(t, "history", "recommendations")
	v.mustWatch(id, body)
	if page := v.must(v.get("/history")); page.status != http.StatusOK || !missingPart.Match(page.body) {
		t.Errorf("without history its page comes with %d and does not say so", page.status)
	}
	s.start(t, "history", "recommendations")
	v.wantHistory(id)
	chassistest.Eventually(t, timeout, "recommendations knows of it", func() error {
		reasons, err := v.recommended()
		if err == nil && reasons[id] != "" {
			err = errors.New("the watched video is still recommended")
		}
		return err
	})
}

// TestMissingParts: pages show their other parts when a service is stopped, and name the part that is missing; a player
// retries a video that fails.
func TestMissingParts(t *testing.T) {
	s := withEmbedded(t)
	anna := newPerson(t, s)
	v := newViewer(t, s)
	title := unique("Still there")
	id := v.uploadSample("The game of life", title)
	v.waitListed(id, title)
	s.stop(t, "metadata")
	anna.showsMissing("/", "the library")
	s.start(t, "metadata")
	s.stop(t, "history", "recommendations")
	anna.showsMissing("/history", "your history")
	anna.showsMissing("/", "recommendations")
	anna.showsMissing(videoPage(id), "recommendations")
	s.stop(t, "video-storage")
	anna.ignore("status of 50")
	anna.open(videoPage(id))
	anna.do("play", chromedp.KeyEvent("k"))
	anna.until(`document.getElementById("trouble").innerText.includes("Trying again in")`)
	anna.screenshot("missing", "video")
	s.start(t, "video-storage", "history", "recommendations")
	anna.until(`player.currentTime > 0.3 && document.getElementById("trouble").hidden`)
	needsAxe(t)
}

// showsMissing: the page is there, with a line that names the part which is missing.
func (p *person) showsMissing(page, part string) {
	p.t.Helper()
	p.open(page)
	p.until(fmt.Sprintf(`document.querySelector("main .missing:not([hidden])").innerText.includes(%q)`, part))
	for _, window := range []size{phone, laptop} {
		p.setWindow(window, light)
		p.noScrollingSideways(page)
		p.isAccessible(page)
		p.screenshot("missing", strings.ReplaceAll(part, " ", "-"))
	}
}

// TestDeliveries: each way to say viewed ends in history once for each viewing, also when history is away
// at first; only fanout reaches recommendations too.
func TestDeliveries(t *testing.T) {
	t.Run("embedded", func(t *testing.T) { deliveries(t, withEmbedded(t)) })
	t.Run("RabbitMQ", func(t *testing.T) { deliveries(t, withRabbit(t)) })
}

func deliveries(t *testing.T, s *site) {
	body := sample(t)
	streaming := s.system.Services["video-streaming"]
	restart := func(env []string) {
		streaming.Stop()
		streaming.Env = env
		s.start(t, "video-streaming")
	}
	before := streaming.Env
	t.Cleanup(func() { restart(before) })
	for _, delivery := range []string{"direct", "queue", "fanout"} {
		t.Run(delivery, func(t *testing.T) {
			restart(append(slices.Clip(before), "VIEWED_DELIVERY="+delivery))
			v := newViewer(t, s)
			name := unique(delivery)
			id := v.upload(name, body)
			v.waitListed(id, name)
			chassistest.Eventually(t, timeout, "it is recommended as new", func() error {
				reasons, err := v.recommended()
				if err == nil && reasons[id] == "" {
					err = fmt.Errorf("recommended are %q", reasons)
				}
				return err
			})
			v.mustWatch(id, body)
			v.mustWatch(id, body)
			s.stop(t, "history")
			v.mustWatch(id, body)
			s.start(t, "history")
			v.wantHistory(id, id, id)
			known := func() error {
				reasons, err := v.recommended()
				if err == nil && reasons[id] != "" {
					err = fmt.Errorf("it is recommended as %s to its viewer", reasons[id])
				}
				return err
			}
			if delivery == "fanout" {
				chassistest.Eventually(t, timeout, "recommendations knows of the viewings", known)
			} else if known() == nil {
				t.Error("recommendations knows of a viewing: it was not sent to history alone")
			}
		})
	}
}

// TestBrokerKilled: without the broker everything goes on, and the messages of that time arrive afterwards.
func TestBrokerKilled(t *testing.T) {
	s := withRabbit(t)
	body := sample(t)
	v := newViewer(t, s)
	names := []string{unique("with a broker"), unique("without a broker")}
	one := v.upload(names[0], body)
	v.waitListed(one, names[0])
	v.mustWatch(one, body)
	pids := map[string]int{}
	for name, service := range s.system.Services {
		pids[name] = service.PID()
	}

	crash(t, s.rabbit, s.began)
	two := v.upload(names[1], body)
	v.mustWatch(two, body)
	s.rabbit.Start(t)

	v.waitListed(two, names[1])
	v.wantHistory(two, one)
	for name, pid := range pids {
		if now := s.system.Services[name].PID(); now != pid {
			t.Errorf("%s has died of it", name)
		}
	}
}

// TestServicesKilled: each service in turn is killed during an upload and a viewing. Both end well, or leave nothing behind.
func TestServicesKilled(t *testing.T) {
	s := withEmbedded(t)
	body := sample(t)
	v := newViewer(t, s)
	title := unique("immortal")
	id := v.upload(title, body)
	v.waitListed(id, title)
	var want []string
	for _, name := range launch.Names() {
		before, err := s.stored(nil)
		if err != nil {
			t.Fatal(err)
		}
		p := s.system.Services[name].Process
		pid := p.PID()
		view := uuid.New()
		if err := v.watch(id, view, body); err != nil {
			t.Fatal(err)
		}
		interrupted := unique("interrupted")
		finish := v.startUpload(interrupted, body)
		kill(t, p)
		needed := slices.Contains([]string{"gateway", "video-upload", "video-storage"}, name)
		if a, err := finish(); needed && err == nil && a.status < http.StatusInternalServerError {
			t.Errorf("an upload without %s was answered %d %s", name, a.status, a.body)
		}
		chassistest.Eventually(t, timeout, name+" is restarted", func() error {
			if now := p.PID(); now == 0 || now == pid {
				return fmt.Errorf("its process is %d", now)
			}
			return nil
		})
		s.waitReady(t)
		if needed {
			s.waitNothingStored(t, before)
		}

		chassistest.Eventually(t, timeout, "the player goes on", func() error { return v.watch(id, view, body) })
		v.waitListed(id, title)
		want = append([]string{id}, want...)
		want = append([]string{v.wantHistory(want...)}, want...)
		if ids, err := v.titled(interrupted); needed && (err != nil || len(ids) != 0) {
			t.Errorf("without %s the interrupted upload is listed as %q, error %v", name, ids, err)
		}
	}
}

// startUpload sends half of a video; finish sends the rest.
func (v *viewer) startUpload(title string, body []byte) (finish func() (response, error)) {
	r, w := io.Pipe()
	type result struct {
		response
		error
	}
	done := make(chan result, 1)
	go func() {
		a, err := v.send(http.MethodPost, "/api/upload", r, "File-Name", url.PathEscape(title+".mp4"))
		r.CloseWithError(io.ErrClosedPipe)
		done <- result{a, err}
	}()
	_, _ = w.Write(body[:len(body)/2]) // fails only if an answer came already
	return func() (response, error) {
		_, _ = w.Write(body[len(body)/2:])
		w.Close()
		got := <-done
		return got.response, got.error
	}
}

const (
	gigabyteSize = 1 << 30
	mayGrow      = 32 << 20
)

// TestGigabyte: a large video passes through every service without staying in its memory, and a player that leaves
// stops the services' work for it.
func TestGigabyte(t *testing.T) {
	s := withEmbedded(t)
	if runtime.GOOS != "linux" {
		chassistest.Missing(t, "/proc, which tells how much memory a process has,")
	}
	v := newViewer(t, s)
	start := sample(t)
	name := unique("a gigabyte")

	grown := measureMemory(t, s)
	sent := newLargeBody(start, gigabyteSize)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/api/upload", sent)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = gigabyteSize
	req.Header.Set("File-Name", url.PathEscape(name+".mp4"))
	res, err := v.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	created, err := io.ReadAll(res.Body)
	res.Body.Close()
	id := v.uploaded(v.must(response{res.StatusCode, res.Header, created}, err))
	grown("uploading")

	if res, err = v.http.Get(s.url + "/api/video?id=" + id); err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	same := newLargeBody(start, gigabyteSize)
	if n, err := same.compare(res.Body); n != gigabyteSize || err != nil {
		t.Errorf("after %d bytes: %v", n, err)
	}
	grown("downloading")
	v.waitListed(id, name)

	// A player that leaves.
	file := filepath.Join(s.videos, id, "video")
	pid := s.system.Services["video-storage"].PID()
	if res, err = v.http.Get(s.url + "/api/video?id=" + id); err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.CopyN(io.Discard, res.Body, 1<<20); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(openFiles(t, pid), file) {
		t.Fatal("storage does not read the file that is played")
	}
	res.Body.Close() // closes the connection: there is too much left to read it out
	chassistest.Eventually(t, timeout, "storage closes the file", func() error {
		if slices.Contains(openFiles(t, pid), file) {
			return errors.New("it is open")
		}
		return nil
	})
	v.remove(id)
	chassistest.Eventually(t, timeout, "the file is deleted", func() error {
		if _, err := os.Stat(file); err == nil {
			return errors.New("it is there")
		}
		return nil
	})
}

func openFiles(t *testing.T, pid int) (files []string) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if file, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil { // else it is closed by now
			files = append(files, file)
		}
	}
	return files
}

// measureMemory returns a function that fails the test if the resident memory of a service has been much
// higher than now.
func measureMemory(t *testing.T, s *site) (grown func(doing string)) {
	t.Helper()
	before := map[string]int{}
	for name, service := range s.system.Services {
		pid := service.PID()
		// 5 makes the peak what is there now (man 5 proc).
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
			t.Logf("growth below an earlier peak is not seen: %v", err)
		}
		before[name] = peakMemory(t, pid)
	}
	return func(doing string) {
		t.Helper()
		for _, name := range slices.Sorted(maps.Keys(before)) {
			peak := peakMemory(t, s.system.Services[name].PID())
			t.Logf("%s: %s has %d MiB and grew by %d", doing, name, peak>>20, (peak-before[name])>>20)
			if peak-before[name] >= mayGrow {
				t.Errorf("%s grows %s by %d MiB", doing, name, (peak-before[name])>>20)
			}
		}
	}
}

// peakMemory returns the most that a process had resident, in bytes.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	value, _, _ := strings.Cut(rest, "kB")
	n, err := strconv.Atoi(strings.TrimSpace(value))
	if err != nil {
		t.Fatal(err)
	}
	return n << 10
}

// largeBody begins as a video does and goes on with noise. None of it is held.
type largeBody struct {
	start, noise []byte
	at, size     int
}

func newLargeBody(start []byte, size int) *largeBody {
	noise := make([]byte, 1_000_003) // a prime, so that no buffer's size divides it
	x := uint32(1)
	for i := range noise {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		noise[i] = byte(x)
	}
	return &largeBody{start: start, noise: noise, size: size}
}

// next returns up to n of the bytes that come next.
func (b *largeBody) next(n int) []byte {
	var from []byte
	if b.at < len(b.start) {
		from = b.start[b.at:]
	} else {
		from = b.noise[(b.at-len(b.start))%len(b.noise):]
	}
	from = from[:min(n, len(from), b.size-b.at)]
	b.at += len(from)
	return from
}

func (b *largeBody) Read(p []byte) (int, error) {
	if b.at == b.size {
		return 0, io.EOF
	}
	return copy(p, b.next(len(p))), nil
}

// compare reads r to its end and returns how many bytes were the same as these.
func (b *largeBody) compare(r io.Reader) (same int, err error) {
	buf := make([]byte, 256<<10)
	for {
		n, err := r.Read(buf)
		for got := buf[:n]; len(got) > 0; {
			want := b.next(len(got))
			if len(want) == 0 || !bytes.Equal(got[:len(want)], want) {
				return same, errors.New("the bytes are others")
			}
			same, got = same+len(want), got[len(want):]
		}
		if err == io.EOF {
			return same, nil
		}
		if err != nil {
			return same, err
		}
	}
}
