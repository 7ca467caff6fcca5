//go:build kubernetes

package kubernetes

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"html"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	requestsPerSecond = 100
	visitors          = 100
	streams           = 20        // of as many of the visitors
	streamRate        = 256 << 10 // bytes per second of each stream
	longVideo         = 64 << 20  // bytes, so that streams last for longer than a pod's shutdown
	requestTimeout    = time.Minute
	stallTimeout      = 20 * time.Second // in which a stream must get the bytes of a quarter of a second
)

// load is visitors: requests at a steady rate, whatever the answers take, and streams that play long videos. Every
// request must succeed. A stream whose connection ends too early goes on with a Range request, as players do; one that gets
// no bytes has failed, because a player would wait for ever.
type load struct {
	site     string
	ids      []string // of the videos that are watched
	long     string   // the id of the long one
	content  []byte   // of the long one
	visitors []visitor

	cancel  context.CancelFunc
	started time.Time
	running sync.WaitGroup

	mu       sync.Mutex
	views    []string          // ids of viewings that began to play
	latest   map[string]string // the last of them of each video
	failed   []error
	requests int
	slowest  time.Duration
	partial  int   // pages that came without one of their parts
	resumed  int   // streams that were cut
	streamed int64 // bytes
}

// visitor is a browser with a cookie and an address of its own, by both of which the gateway limits requests.
type visitor struct {
	*http.Client
	address string
}

// startLoad begins; stop ends it.
func startLoad(t *testing.T, site string, ids []string, long string, content []byte) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{site: site, ids: ids, long: long, content: content, cancel: cancel, latest: map[string]string{}}
	transport := &http.Transport{MaxIdleConnsPerHost: requestsPerSecond, ResponseHeaderTimeout: requestTimeout}
	for i := range visitors {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		v := visitor{&http.Client{Jar: jar, Transport: transport}, fmt.Sprintf("198.51.100.%d", i+1)}
		if _, err := v.get(site + "/upload"); err != nil {
			t.Fatal(err)
		}
		l.visitors = append(l.visitors, v)
	}
	l.started = time.Now()
	for i := range streams {
		l.running.Go(func() { l.watchLong(ctx, l.visitors[i]) })
	}
	l.running.Go(func() { l.request(ctx) })
	return l
}

func (v visitor) get(url string, headers ...string) (string, error) {
	return fetch(v.Client, url, requestTimeout, append(headers, "X-Forwarded-For", v.address)...)
}

// stop waits for what is in flight.
func (l *load) stop() {
	l.cancel()
	l.running.Wait()
}

// mustSucceed stops the load, prints its figures and fails if a request did.
func (l *load) mustSucceed(t *testing.T, what string) {
	t.Helper()
	l.stop()
	seconds := time.Since(l.started).Seconds()
	measured(t, what, fmt.Sprintf("%d requests (%.0f/s), %d failed, the slowest took %.1f s, %d pages lacked a part; "+
		"%d views; %d streams (%.1f MB/s) continued %d times after a cut",
		l.requests, float64(l.requests)/seconds, len(l.failed), l.slowest.Seconds(), l.partial,
		len(l.views), streams, float64(l.streamed)/1e6/seconds, l.resumed))
	for i, err := range l.failed {
		if i == 10 {
			break
		}
		t.Errorf("failed: %v", err)
	}
	if len(l.views) == 0 || l.streamed == 0 {
		t.Error("nothing was watched")
	}
}

// request makes the requests: of each hundred ten viewings begin, twenty are players that fetch more for a viewing that
// began before, from any pod, three are pages that are composed of several services; the others are the gateway's alone.
func (l *load) request(ctx context.Context) {
	tick := time.NewTicker(time.Second / requestsPerSecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		visitor, video := l.visitors[(i+i/100)%len(l.visitors)], l.ids[i/10%len(l.ids)]
		l.running.Go(func() {
			switch i % 10 {
			case 3:
				view := newUUID()
				if l.get(visitor, "/api/video?id="+video+"&view="+view, "bytes=0-65535") {
					l.mu.Lock()
					l.views = append(l.views, view)
					l.latest[video] = view
					l.mu.Unlock()
				}
			case 4, 7:
				l.mu.Lock()
				view := l.latest[video] // at the very beginning there is none, and then nothing is counted
				l.mu.Unlock()
				l.get(visitor, "/api/video?id="+video+"&view="+view, "bytes=200000-265535")
			default:
				page, ok := map[int]string{5: "/", 55: "/video?id=" + video, 85: "/history"}[i%100]
				if !ok {
					page = "/history/clear"
				}
				l.get(visitor, page, "")
			}
		})
	}
}

// get notes how a request went. It ends even if the load is stopped meanwhile.
func (l *load) get(v visitor, path, ranges string) bool {
	started := time.Now()
	var headers []string
	if ranges != "" {
		headers = []string{"Range", ranges}
	}
	body, err := v.get(l.site+path, headers...)
	took := time.Since(started)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests++
	l.slowest = max(l.slowest, took)
	if strings.Contains(body, `<p class="missing" role="status">`) {
		l.partial++
	}
	if err != nil {
		l.failed = append(l.failed, fmt.Errorf("after %v: %w", took.Round(time.Millisecond), err))
	}
	return err == nil
}

func (l *load) watchLong(ctx context.Context, v visitor) {
	for ctx.Err() == nil {
		view := newUUID()
		for at := 0; at < len(l.content) && ctx.Err() == nil; {
			n, err := l.play(ctx, v, view, at)
			l.mu.Lock()
			at += n
			l.streamed += int64(n)
			switch {
			case err == nil || ctx.Err() != nil:
			case n > 0 && !errors.Is(err, errStalled):
				l.resumed++
			default: // it stalled, or was not even begun
				l.failed = append(l.failed, fmt.Errorf("stream at byte %d: %w", at, err))
				at = len(l.content)
			}
			l.mu.Unlock()
		}
	}
}

var errStalled = fmt.Errorf("no bytes for %v", stallTimeout)

// play reads the long video from an offset, no faster than a player would, and returns how many of its bytes came.
func (l *load) play(ctx context.Context, v visitor, view string, at int) (n int, err error) {
	// Only a stream that has begun is cancelled: of any other nobody would know whether it counts as a view.
	playing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	req, err := http.NewRequestWithContext(playing, http.MethodGet, l.site+"/api/video?id="+l.long+"&view="+view, nil)
	if err != nil {
		return 0, err
	}
	want := http.StatusOK
	if at > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", at))
		want = http.StatusPartialContent
	}
	req.Header.Set("X-Forwarded-For", v.address)
	res, err := v.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	defer context.AfterFunc(ctx, cancel)()
	if res.StatusCode != want {
		return 0, fmt.Errorf("%s, not %d", res.Status, want)
	}
	if at == 0 {
		l.mu.Lock()
		l.views = append(l.views, view)
		l.mu.Unlock()
	}
	const step = streamRate / 4
	stalled := time.AfterFunc(stallTimeout, cancel)
	defer stalled.Stop()
	buffer := make([]byte, step)
	tick := time.NewTicker(time.Second / 4)
	defer tick.Stop()
	for at+n < len(l.content) {
		k, err := io.ReadFull(res.Body, buffer[:min(step, len(l.content)-at-n)])
		if !bytes.Equal(buffer[:k], l.content[at+n:at+n+k]) {
			return n, fmt.Errorf("wrong bytes after %d", at+n)
		}
		n += k
		if !stalled.Reset(stallTimeout) && ctx.Err() == nil {
			return n, errStalled
		}
		if err != nil {
			return n, err
		}
		select {
		case <-ctx.Done():
			return n, nil
		case <-tick.C:
		}
	}
	return n, nil
}

// newLongVideo is a sample followed by bytes that are not compressible: players ignore them, and here they are compared.
func newLongVideo(t *testing.T) []byte {
	t.Helper()
	content := bytes.NewBuffer(readSamples(t)[0])
	random := mathrand.NewChaCha8([32]byte{})
	if _, err := io.CopyN(content, random, longVideo); err != nil {
		t.Fatal(err)
	}
	return content.Bytes()
}

func readSamples(t *testing.T) (samples [][]byte) {
	t.Helper()
	files, err := filepath.Glob("../../flixtube/samples/*.mp4")
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		samples = append(samples, content)
	}
	return samples
}

var videoID = regexp.MustCompile(`"_id":"([^"]+)"|"id":"([^"]+)"`)

// upload returns the new video's id.
func upload(t *testing.T, site, name string, content []byte) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, site+"/api/upload", bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("File-Name", name)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	match := videoID.FindSubmatch(body)
	if err != nil || res.StatusCode != http.StatusCreated || match == nil {
		t.Fatalf("upload %s: %s %s %v", name, res.Status, body, err)
	}
	return string(match[1]) + string(match[2])
}

var (
	videoLink = regexp.MustCompile(`/video\?id=([^"&]+)"`)
	nextPage  = regexp.MustCompile(`rel="next" href="([^"]+)"`)
)

// listed returns the ids of the videos on the home page and on those behind it: the journeys leave videos, too.
func listed(site string) (ids []string, err error) {
	for address := site + "/"; ; {
		page, err := get(address)
		if err != nil {
			return nil, err
		}
		for _, match := range videoLink.FindAllStringSubmatch(page, -1) {
			ids = append(ids, match[1])
		}
		next := nextPage.FindStringSubmatch(page)
		if next == nil {
			slices.Sort(ids)
			return slices.Compact(ids), nil
		}
		address = site + html.UnescapeString(next[1])
	}
}

func get(url string, headers ...string) (string, error) {
	return fetch(http.DefaultClient, url, requestTimeout, headers...)
}

// fetch returns the body of an answer that is 2xx and whole.
func fetch(client *http.Client, url string, limit time.Duration, headers ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	for pair := range slices.Chunk(headers, 2) {
		req.Header.Set(pair[0], pair[1])
	}
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode/100 != 2 {
		err = errors.New(res.Status)
	}
	if err != nil {
		err = fmt.Errorf("GET %s: %w: %.200s", url, err, body)
	}
	return string(body), err
}

// newUUID names a viewing.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
