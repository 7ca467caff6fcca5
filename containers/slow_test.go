//go:build containers

package containers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// longVideo is the size, in bytes, of a video that nobody here watches to its end.
const longVideo = 32 << 20

// uploadRequest uploads as many bytes, which begin like a video.
func uploadRequest(ctx context.Context, t *testing.T, site, name string, size int) *http.Request {
	t.Helper()
	head, err := os.ReadFile(samples(t)[0])
	if err != nil {
		t.Fatal(err)
	}
	body := io.MultiReader(bytes.NewReader(head), io.LimitReader(zeros{}, int64(size-len(head))))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, site+"/api/upload", body)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = int64(size)
	req.Header.Set("File-Name", name+".mp4")
	return req
}

// zeros reads as zeros without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// upload returns the id of a video of some bytes that it has uploaded.
func upload(t *testing.T, site, name string, size int) (id string) {
	t.Helper()
	answer, err := do(http.DefaultClient, uploadRequest(t.Context(), t, site, name, size))
	var uploaded struct {
		Video struct{ ID string }
	}
	if err == nil {
		err = json.Unmarshal([]byte(answer), &uploaded)
	}
	if id = uploaded.Video.ID; err != nil || id == "" {
		t.Fatalf("upload: %v: %s", err, answer)
	}
	return id
}

// uploadLong returns the id of a longVideo that can be watched.
func uploadLong(t *testing.T, site string) (id string) {
	t.Helper()
	id = upload(t, site, "long", longVideo)
	waitFor(t, "the long video", deadline, func() error {
		_, err := get(site+"/api/video?id="+id, "Range", "bytes=0-0")
		return err
	})
	return id
}

const (
	slowViewers = 400
	slowPart    = 64 << 10 // bytes that each reads every slowPause: one megabit a second
	slowPause   = 500 * time.Millisecond
	slowTime    = 15 * time.Second
	maxStall    = 5 * time.Second // a player has more than that in its buffer
)

// watchSlowly plays the video to so many viewers at the same time, each from an address of its own. It returns for how many it
// played without a stall, how long the slowest of these waited for a part, and what went wrong for the others.
func watchSlowly(t *testing.T, site, video string, viewers int) (played int, slowest time.Duration, failed error) {
	t.Helper()
	dialer := net.Dialer{Timeout: maxStall}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err == nil {
				err = conn.(*net.TCPConn).SetReadBuffer(slowPart) // the rest waits with the sender
			}
			return conn, err
		},
	}}
	ctx, cancel := context.WithTimeout(t.Context(), slowTime+30*time.Second)
	defer cancel()
	var all sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for i := range viewers {
		all.Go(func() {
			stall, err := watchOneSlowly(ctx, client, site+"/api/video?id="+video+"&view="+newUUID(), fmt.Sprintf("198.18.%d.%d", i/200, i%200+1))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
				return
			}
			played++
			slowest = max(slowest, stall)
		})
	}
	all.Wait()
	return played, slowest, errors.Join(errs[:min(3, len(errs))]...)
}

func watchOneSlowly(ctx context.Context, client *http.Client, url, address string) (longest time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("X-Forwarded-For", address)
	began := time.Now()
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return 0, errors.New(res.Status)
	}
	tick := time.NewTicker(slowPause)
	defer tick.Stop()
	part := make([]byte, slowPart)
	for end := time.Now().Add(slowTime); time.Now().Before(end); {
		if _, err := io.ReadFull(res.Body, part); err != nil {
			return 0, err
		}
		waited := time.Since(began)
		if longest = max(longest, waited); waited > maxStall {
			return 0, fmt.Errorf("stood still for %v", waited)
		}
		<-tick.C
		began = time.Now()
	}
	return longest, nil
}

// address is that of a service in one of the networks.
func (p *production) address(service, network string) string {
	p.t.Helper()
	return docker(p.t, "inspect", "-f", fmt.Sprintf(`{{(index .NetworkSettings.Networks "%s_%s").IPAddress}}`, p.name, network), p.id(service))
}

// viewsByReplica returns how many views each replica of video-streaming has recorded since it started.
func (p *production) viewsByReplica() (views []int) {
	p.t.Helper()
	const script = `exec 3<>/dev/tcp/127.0.0.1/80; printf 'GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3; cat <&3`
	for id := range strings.FieldsSeq(p.compose("ps", "-q", "video-streaming")) {
		metrics := docker(p.t, "run", "--rm", "--network=container:"+id, "--entrypoint", "bash", shell, "-c", script)
		m := regexp.MustCompile(`(?m)^outbox_facts_accepted_total (\d+)`).FindStringSubmatch(metrics)
		if m == nil {
			p.t.Fatalf("the metrics have no number of views:\n%.2000s", metrics)
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			p.t.Fatal(err)
		}
		views = append(views, n)
	}
	return views
}

// testSlowWatchers: many viewers at once play without a stall, and the replicas of video-streaming share them.
func (p *production) testSlowWatchers() {
	video, before := uploadLong(p.t, p.site), p.viewsByReplica()
	if err := p.watchSlowly("folder", video, slowViewers); err != nil {
		p.t.Error(err)
	}
	after := p.viewsByReplica()
	shares := make([]int, len(after))
	for i := range after {
		shares[i] = after[i] - before[i]
		if shares[i] < slowViewers/10 {
			p.t.Errorf("a replica of video-streaming has %d of %d views", shares[i], slowViewers)
		}
	}
	measured(p.t, "views by replica of video-streaming", shares)
}

func (p *production) watchSlowly(store, video string, viewers int) error {
	// The gateway itself: the program by which Docker forwards the loopback's ports holds megabytes for each connection.
	site := "http://" + p.address("gateway", "outside")
	played, slowest, err := watchSlowly(p.t, site, video, viewers)
	measured(p.t, fmt.Sprintf("%s: %d watch at one megabit a second; to how many it plays, and their longest wait", store, viewers),
		fmt.Sprintf("%d, %.2f s", played, slowest.Seconds()))
	if played < viewers {
		err = fmt.Errorf("%s: the video played for %d of %d: %w", store, played, viewers, err)
	}
	return err
}

// slowWatchersOnAzurite looks for how many its one thread is enough.
func (p *production) slowWatchersOnAzurite() {
	video := uploadLong(p.t, p.site)
	for viewers := slowViewers / 2; ; viewers /= 2 {
		err := p.watchSlowly("Azurite", video, viewers)
		if err == nil {
			return
		}
		if viewers < slowViewers/8 {
			p.t.Error(err)
			return
		}
	}
}

// testSaveDuringDownload: a video whose gateway is replaced while it plays is played to its end, as a player does it: where
// the answer is cut off, a Range asks for the rest.
func (d development) testSaveDuringDownload() {
	id := uploadLong(d.t, d.url("gateway"))
	url := d.url("gateway") + "/api/video?id=" + id
	whole, err := get(url)
	if err != nil {
		d.t.Fatal(err)
	}
	ended := make(chan error, 1)
	played, cuts := sha256.New(), -1
	go func() {
		var at int64
		var err error
		for end := time.Now().Add(deadline); at < longVideo && time.Now().Before(end); cuts++ {
			var n int64
			n, err = playFrom(d.t.Context(), url, at, played)
			at += n
		}
		ended <- err
	}()
	home := d.url("gateway") + "/"
	d.reload("template, while a video plays", d.edit("gateway/internal/site/pages/home.html", `{{define "main"}}→<p>TEXT</p>`), answers(home))
	if err := <-ended; err != nil {
		d.t.Fatal(err)
	}
	if want := sha256.Sum256([]byte(whole)); !bytes.Equal(played.Sum(nil), want[:]) {
		d.t.Error("what was played is not the video")
	}
	measured(d.t, "a save while a video plays: how often a Range had to ask for the rest", cuts)
}

// playFrom writes what it gets of the longVideo from a position on to w, at a speed that takes half a minute for all of it.
func playFrom(ctx context.Context, url string, at int64, w io.Writer) (n int64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-", at))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusPartialContent {
		return 0, errors.New(res.Status)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		m, err := io.CopyN(w, res.Body, longVideo/300)
		n += m
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		<-tick.C
	}
}
