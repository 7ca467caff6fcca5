//go:build containers

package containers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"
)

// load is viewings at a steady rate. Each has an address of its own, as the gateway's trusted proxy tells it.
type load struct {
	cancel context.CancelFunc
	ended  chan struct{}

	mu     sync.Mutex
	made   int
	failed []error
	worst  time.Duration // the longest time that a view took to begin
}

// startLoad makes perSecond viewings a second until stop is called. Each is one request, which is not repeated.
func startLoad(t *testing.T, site string, videos []string, perSecond int) *load {
	t.Helper()
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	return startLoadBy(client, t, site, videos, perSecond)
}

func startLoadBy(client *http.Client, t *testing.T, site string, videos []string, perSecond int) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(l.ended)
		var views sync.WaitGroup
		defer views.Wait()
		tick := time.NewTicker(time.Second / time.Duration(perSecond))
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			views.Go(func() { l.view(client, site+"/api/video?id="+videos[i%len(videos)]+"&view="+newUUID(), i) })
		}
	}()
	return l
}

func (l *load) view(client *http.Client, url string, i int) {
	began := time.Now()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err == nil {
		req.Header.Set("Range", "bytes=0-65535")
		req.Header.Set("X-Forwarded-For", fmt.Sprintf("198.51.100.%d", i%250+1))
		_, err = do(client, req)
	}
	took := time.Since(began)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.made++
	l.worst = max(l.worst, took)
	if err != nil {
		l.failed = append(l.failed, err)
	}
}

// stop returns how many viewings there were, how many of them failed, and the longest time that one took to begin.
func (l *load) stop() (made int, failed []error, worst time.Duration) {
	l.cancel()
	<-l.ended
	return l.made, l.failed, l.worst
}

// ownAddress is another one for each of 250.
func ownAddress(i int) string { return fmt.Sprintf("203.0.113.%d", i%250+1) }

func oneAddress(int) string { return "203.0.113.251" }

// uploadCrowd uploads as many videos of some bytes at the same time, without a cookie, and counts the statuses of the
// answers. Without an answer it is 0, and without the Retry-After that belongs to it 503 is -503.
func uploadCrowd(t *testing.T, site string, uploads, size int, address func(i int) string) map[int]int {
	t.Helper()
	statuses, client := make(chan int, uploads), &http.Client{Timeout: 2 * time.Minute}
	defer client.CloseIdleConnections()
	for i := range uploads {
		req := uploadRequest(context.Background(), t, site, fmt.Sprintf("crowd%d", i), size)
		go func() {
			req.Header.Set("X-Forwarded-For", address(i))
			res, err := client.Do(req)
			if err != nil {
				t.Logf("upload: %v", err)
				statuses <- 0
				return
			}
			res.Body.Close()
			if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); res.StatusCode == http.StatusServiceUnavailable && (err != nil || seconds < 1) {
				statuses <- -res.StatusCode
				return
			}
			statuses <- res.StatusCode
		}()
	}
	counts := map[int]int{}
	for range uploads {
		counts[<-statuses]++
	}
	return counts
}

// testUploadsUnderViews: many uploads at once disturb no view, and no service dies of them.
func (p *production) testUploadsUnderViews(what string, videos []string, uploads int, address func(i int) string) {
	const size, perSecond = 8 << 20, 40
	views := startLoad(p.t, p.site, videos, perSecond)
	started := time.Now()
	statuses := uploadCrowd(p.t, p.site, uploads, size, address)
	took := time.Since(started)
	made, failed, worst := views.stop()
	if len(failed) > 0 {
		p.t.Errorf("%d of %d views failed: %v", len(failed), made, errors.Join(failed[:min(5, len(failed))]...))
	}
	if statuses[http.StatusCreated] == 0 || statuses[http.StatusCreated]+statuses[http.StatusServiceUnavailable] != uploads {
		p.t.Errorf("the uploads end in %v", statuses)
	}
	for _, service := range services {
		if c := p.inspect(service); c.State.OOMKilled || c.RestartCount > 0 {
			p.t.Errorf("%s was killed: %+v", service, c)
		}
	}
	measured(p.t, fmt.Sprintf("%s: %d uploads of 8 MiB at once, %.0f s: statuses %v; views that did not fail, and the slowest", what, uploads, took.Seconds(), statuses),
		fmt.Sprintf("%d of %d, %.2f s", made-len(failed), made, worst.Seconds()))
}

// testAzurite is the same by Azure's protocol. Azurite, one thread of JavaScript, has less than two cores can ask for.
func (p *production) testAzurite() {
	const override = "containers/testdata/azurite.yml"
	up := func(files ...string) {
		p.compose(append(files, "up", "-d", "--no-build", "--no-deps", "video-storage")...)
		waitFor(p.t, "video-storage", deadline, func() error { return p.healthy("video-storage") })
	}
	p.compose("-f", override, "up", "-d", "--no-build", "azurite")
	up("-f", override)
	before, err := listed(p.site)
	if err != nil {
		p.t.Fatal(err)
	}
	uploadSamples(p.t, p.site)
	var videos []string
	waitFor(p.t, "the videos in Azurite", deadline, func() error {
		now, err := listed(p.site)
		if err != nil {
			return err
		}
		for _, id := range now {
			if _, err := get(p.site+"/api/video?id="+id, "Range", "bytes=0-0"); err == nil {
				videos = append(videos, id)
			}
		}
		if len(videos) == 0 {
			return fmt.Errorf("none of %d plays, %d before", len(now), len(before))
		}
		return nil
	})
	p.testUploadsUnderViews("Azurite", videos, 200, ownAddress)
	p.slowWatchersOnAzurite()
	up()
	p.compose("-f", override, "rm", "-sfv", "azurite")
}
