//go:build unix

package main

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
)

// These journeys reach behind the gateway: they stop, kill and start services.

// beforeFirstStart: what is uploaded and watched before metadata, history and recommendations were ever started
// reaches them when they are.
func beforeFirstStart(t *testing.T, s *site) {
	body := sample(t)
	a := newViewer(t, *s)
	names := []string{unique("early one"), unique("early two")}
	one, two := a.upload(names[0], body), a.upload(names[1], body)
	a.mustWatch(one, body)
	a.mustWatch(two, body)
	home := a.must(a.get("/"))
	if part := string(missingPart.Find(home.body)); home.status != http.StatusOK || !strings.Contains(part, "the library") {
		t.Errorf("without metadata the home page comes with %d and says %q", home.status, part)
	}

	s.start(t, lateComers...)
	a.waitListed(one, names[0])
	a.waitListed(two, names[1])
	a.wantHistory(two, one)
	b := newViewer(t, *s)
	b.mustWatch(one, body)
	waitFor(t, "the other is recommended to who has seen the one", func() error {
		reasons, err := b.recommended()
		if err == nil && (reasons[two] != "co-viewed" || reasons[one] != "") {
			err = fmt.Errorf("recommended are %q, want %s as co-viewed and not %s", reasons, two, one)
		}
		return err
	})
}

// whileAway: what is uploaded and watched while a service is stopped reaches it when it is back.
func whileAway(t *testing.T, s *site) {
	body := sample(t)
	v := newViewer(t, *s)
	name := unique("while metadata is away")
	s.stop("metadata")
	id := v.upload(name, body)
	if home := v.must(v.get("/")); home.status != http.StatusOK || !missingPart.Match(home.body) {
		t.Errorf("without metadata the home page comes with %d and does not say so", home.status)
	}
	s.start(t, "metadata")
	v.waitListed(id, name)

	s.stop("history", "recommendations")
	v.mustWatch(id, body)
	if page := v.must(v.get("/history")); page.status != http.StatusOK || !missingPart.Match(page.body) {
		t.Errorf("without history its page comes with %d and does not say so", page.status)
	}
	s.start(t, "history", "recommendations")
	v.wantHistory(id)
	waitFor(t, "recommendations has heard of it", func() error {
		reasons, err := v.recommended()
		if err == nil && reasons[id] != "" {
			err = errors.New("what was watched is still recommended")
		}
		return err
	})
}

// partsMissing: what is stopped is missing on the pages, quietly, and the rest is there; a video that does not come is
// tried again.
func partsMissing(t *testing.T, s *site) {
	anna := newPerson(t, s)
	v := newViewer(t, *s)
	title := unique("Still there")
	id := v.uploadSample("The game of life", title)
	v.waitListed(id, title)
	s.stop("metadata")
	anna.says("/", "the library")
	s.start(t, "metadata")
	s.stop("history", "recommendations")
	anna.says("/history", "your history")
	anna.says("/", "recommendations")
	anna.says(videoPage(id), "recommendations")
	s.stop("video-storage")
	anna.bear("status of 50")
	anna.open(videoPage(id))
	anna.do("play", chromedp.KeyEvent("k"))
	anna.until(`document.getElementById("trouble").innerText.includes("Trying again in")`)
	anna.picture("missing", "video")
	s.start(t, "video-storage", "history", "recommendations")
	anna.until(`player.currentTime > 0.3 && document.getElementById("trouble").hidden`)
	needsAxe(t)
}

// says: the page is there, with a line that names the part which is missing.
func (p *person) says(page, part string) {
	p.t.Helper()
	p.open(page)
	p.until(fmt.Sprintf(`document.querySelector("main .missing:not([hidden])").innerText.includes(%q)`, part))
	for _, window := range []size{phone, laptop} {
		p.looks(window, light)
		p.noScrollingSideways(page)
		p.isAccessible(page)
		p.picture("missing", strings.ReplaceAll(part, " ", "-"))
	}
}

// threeDeliveries: each way to say viewed ends in history once for each viewing, also when history is away
// at first; only fanout reaches recommendations too.
func threeDeliveries(t *testing.T, s *site) {
	body := sample(t)
	streaming := s.inside.processes["video-streaming"]
	set := func(vars ...string) {
		s.stop("video-streaming")
		streaming.env = append(slices.Clip(streaming.env), vars...)
		s.start(t, "video-streaming")
	}
	defer func(before []string) {
		streaming.stop()
		streaming.env = before
		streaming.start()
	}(streaming.env)
	for _, delivery := range []string{"direct", "queue", "fanout"} {
		t.Run(delivery, func(t *testing.T) {
			set("VIEWED_DELIVERY=" + delivery)
			v := newViewer(t, *s)
			name := unique(delivery)
			id := v.upload(name, body)
			v.waitListed(id, name)
			waitFor(t, "it is recommended as new", func() error {
				reasons, err := v.recommended()
				if err == nil && reasons[id] == "" {
					err = fmt.Errorf("recommended are %q", reasons)
				}
				return err
			})
			v.mustWatch(id, body)
			v.mustWatch(id, body)
			s.stop("history")
			v.mustWatch(id, body)
			s.start(t, "history")
			v.wantHistory(id, id, id)
			heard := func() error {
				reasons, err := v.recommended()
				if err == nil && reasons[id] != "" {
					err = fmt.Errorf("it is recommended as %s to who has seen it", reasons[id])
				}
				return err
			}
			if delivery == "fanout" {
				waitFor(t, "recommendations heard of the viewings", heard)
			} else if heard() == nil {
				t.Error("recommendations heard of a viewing: it was not sent to history alone")
			}
		})
	}
}

// withoutBroker: while the broker is away everything goes on, and what was said meanwhile arrives afterwards.
func withoutBroker(t *testing.T, s *site, rabbit *chassistest.RabbitMQServer) {
	body := sample(t)
	v := newViewer(t, *s)
	names := []string{unique("with a broker"), unique("without a broker")}
	one := v.upload(names[0], body)
	v.waitListed(one, names[0])
	v.mustWatch(one, body)
	pids := map[string]int{}
	for _, service := range services {
		pids[service.name] = s.inside.processes[service.name].pid()
	}

	rabbit.Kill()
	two := v.upload(names[1], body)
	v.mustWatch(two, body)
	rabbit.Start()

	v.waitListed(two, names[1])
	v.wantHistory(two, one)
	for name, pid := range pids {
		if now := s.inside.processes[name].pid(); now != pid {
			t.Errorf("%s has died of it", name)
		}
	}
}

// killed: each service in turn is killed while something goes on, and afterwards everything is as it should be.
func killed(t *testing.T, s *site) {
	body := sample(t)
	v := newViewer(t, *s)
	name := unique("immortal")
	id := v.upload(name, body)
	v.waitListed(id, name)
	var want []string
	for _, service := range services {
		ok := t.Run(service.name, func(t *testing.T) {
			v := &viewer{t, *s, v.http}
			before, err := s.stored(nil)
			if err != nil {
				t.Fatal(err)
			}
			p := s.inside.processes[service.name]
			pid := p.pid()
			view := uuid.New()
			if err := v.watch(id, view, body); err != nil {
				t.Fatal(err)
			}
			interrupted := unique("interrupted")
			finish := v.startUpload(interrupted, body)
			p.kill()
			onItsWay := slices.Contains([]string{"gateway", "video-upload", "video-storage"}, service.name)
			if a, err := finish(); onItsWay && err == nil && a.status < http.StatusInternalServerError {
				t.Errorf("an upload without %s was answered %d %s", service.name, a.status, a.body)
			}
			eventually(t, "it is started again", func() bool { return p.pid() != 0 && p.pid() != pid })
			s.start(t)
			if onItsWay {
				s.waitNothingStored(t, before)
			}

			waitFor(t, "the player goes on", func() error { return v.watch(id, view, body) })
			v.waitListed(id, name)
			want = append([]string{id}, want...)
			want = append([]string{v.wantHistory(want...)}, want...)
			if ids, err := v.titled(interrupted); onItsWay && (err != nil || len(ids) != 0) {
				t.Errorf("of the interrupted upload is listed %q, error %v", ids, err)
			}
		})
		if !ok {
			return
		}
	}
}

// startUpload sends half of a video; finish sends the rest.
func (v *viewer) startUpload(title string, body []byte) (finish func() (answer, error)) {
	r, w := io.Pipe()
	type result struct {
		answer
		error
	}
	done := make(chan result, 1)
	go func() {
		a, err := v.send(http.MethodPost, "/api/upload", r, "File-Name", url.PathEscape(title+".mp4"))
		r.CloseWithError(io.ErrClosedPipe)
		done <- result{a, err}
	}()
	_, _ = w.Write(body[:len(body)/2]) // fails only if an answer came already
	return func() (answer, error) {
		_, _ = w.Write(body[len(body)/2:])
		w.Close()
		got := <-done
		return got.answer, got.error
	}
}

// theSamples are listed once each, with their pictures and lengths.
func theSamples(t *testing.T, s *site) {
	n, err := s.inside.uploadSamples(t.Context())
	if err != nil || n == 0 {
		t.Fatalf("%d are uploaded, error %v", n, err)
	}
	v := newViewer(t, *s)
	for _, title := range []string{"Colours drifting by", "Deep into the Mandelbrot set", "The game of life"} {
		var ids []string
		waitFor(t, title, func() (err error) {
			if ids, err = v.titled(title); err == nil && len(ids) != 1 {
				err = fmt.Errorf("listed are %q", ids)
			}
			return err
		})
		if a := v.must(v.get("/api/poster?id=" + ids[0])); a.status != http.StatusOK || a.header.Get("Content-Type") != "image/jpeg" {
			t.Errorf("the picture of %q is answered %d", title, a.status)
		}
	}
}

// startedAgain: a stop ends everything, and afterwards it is all still there.
func startedAgain(t *testing.T, s *site) {
	body := sample(t)
	v := newViewer(t, *s)
	name := unique("lasting")
	id := v.upload(name, body)
	v.waitListed(id, name)
	v.mustWatch(id, body)
	newest := v.wantHistory(id)

	samples, err := v.titled("The game of life")
	if err != nil {
		t.Fatal(err)
	}

	s.inside.stop()
	for name, address := range s.inside.addresses {
		if answers(strings.TrimPrefix(address, "http://")) {
			t.Errorf("%s is still running", name)
		}
	}
	again := s.inside.options
	again.seed = true // which it need not do
	s.launch(t, again)

	v.site = *s
	v.waitListed(id, name)
	if now, err := v.titled("The game of life"); err != nil || !slices.Equal(now, samples) {
		t.Errorf("of a sample are listed %q, before it was %q; error %v", now, samples, err)
	}
	v.wantHistory(newest, id)
	v.mustWatch(id, body)
}

const (
	gigabyteSize = 1 << 30
	mayGrow      = 32 << 20
)

// gigabyte: a large video passes through every service without staying in its memory, and a player that goes
// away leaves nothing at work.
func gigabyte(t *testing.T, s *site) {
	if runtime.GOOS != "linux" {
		chassistest.Missing(t, "/proc, which tells how much memory a process has,")
	}
	v := newViewer(t, *s)
	start := sample(t)
	name := unique("a gigabyte")

	t.Run("memory", func(t *testing.T) {
		v.t = t
		grown := measureMemory(t, *s)
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
		taken, err := io.ReadAll(res.Body)
		res.Body.Close()
		id := v.uploaded(v.must(answer{res.StatusCode, res.Header, taken}, err))
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
	})

	t.Run("a player that goes away", func(t *testing.T) {
		v.t = t
		ids, err := v.titled(name)
		if err != nil || len(ids) != 1 {
			t.Fatalf("%q are listed, error %v", ids, err)
		}
		file := filepath.Join(s.videos, ids[0], "video")
		pid := s.inside.processes["video-storage"].pid()
		res, err := v.http.Get(s.url + "/api/video?id=" + ids[0])
		if err != nil {
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
		eventually(t, "storage has let go of the file", func() bool { return !slices.Contains(openFiles(t, pid), file) })

		form := url.Values{"id": ids}.Encode()
		a := v.must(v.send(http.MethodPost, "/video/remove", strings.NewReader(form),
			"Content-Type", "application/x-www-form-urlencoded"))
		if a.status != http.StatusSeeOther {
			t.Errorf("removing it was answered %d", a.status)
		}
		eventually(t, "it is deleted", func() bool { _, err := os.Stat(file); return err != nil })
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
func measureMemory(t *testing.T, s site) (grown func(doing string)) {
	t.Helper()
	before := map[string]int{}
	for _, service := range services {
		pid := s.inside.processes[service.name].pid()
		// 5 makes the peak what is there now (man 5 proc).
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
			t.Logf("growth below an earlier peak is not seen: %v", err)
		}
		before[service.name] = peakMemory(t, pid)
	}
	return func(doing string) {
		t.Helper()
		for _, name := range slices.Sorted(maps.Keys(before)) {
			peak := peakMemory(t, s.inside.processes[name].pid())
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
