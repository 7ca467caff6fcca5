//go:build unix

package e2e

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/httpclient"
	"flixtube/chassis/web"
)

// viewing is one viewer watching one video, once.
type viewing struct{ id, viewer, video string }

// A crowd is the viewers of one scenario, in groups: the viewers of a group watch some of the group's own videos, so that
// the test knows the co-views. Nobody watches a video twice, so that recommendations, too, has one record for each viewing.
type crowd struct {
	name      string
	pace      time.Duration // from one viewing to the next
	streaming string        // addresses
	storage   string
	client    *http.Client
	rnd       *rand.Rand
	poison    func(n int) (id string, sent int) // sends the n-th poison, once or until it is confirmed

	started, ended sync.Once
	leave          context.CancelFunc
	gone           chan error

	mu       sync.Mutex
	asked    map[string]viewing // by id
	watched  map[string]viewing // those whose video came
	failed   int                // requests
	failure  error              // of one of them
	poisoned map[string]int     // how often each was sent
}

const (
	groupViewers = 40
	groupVideos  = 25
	watchedEach  = 10
	atATime      = 24
)

// gather makes the crowd of the next scenario.
func (c *chaos) gather(t *testing.T) *crowd {
	t.Helper()
	c.gathered++
	crowd := &crowd{
		name: fmt.Sprintf("crowd%d", c.gathered), pace: time.Second / time.Duration(c.times(400, 120)), streaming: c.system.Services["video-streaming"].Address, storage: c.system.Services["video-storage"].Address,
		client: &http.Client{Timeout: 10 * time.Second, Transport: httpclient.NewTransport()},
		rnd:    rand.New(rand.NewPCG(c.seed, c.rnd.Uint64())),
		gone:   make(chan error, 1),
		asked:  map[string]viewing{}, watched: map[string]viewing{}, poisoned: map[string]int{},
	}
	c.crowds = append(c.crowds, crowd)
	t.Cleanup(func() {
		if crowd.leave != nil {
			crowd.leave()
		}
	})
	return crowd
}

// start lets the crowd watch until end.
func (c *crowd) start() {
	c.started.Do(func() {
		var ctx context.Context
		ctx, c.leave = context.WithCancel(context.Background())
		go func() { c.gone <- c.watch(ctx) }()
	})
}

// end lets those who are watching come to an end.
func (c *crowd) end(t *testing.T) {
	t.Helper()
	c.ended.Do(func() {
		c.leave()
		select {
		case err := <-c.gone:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(2 * time.Minute):
			t.Fatal("some viewer's request hangs")
		}
	})
}

func (c *crowd) watchFor(t *testing.T, d time.Duration) {
	t.Helper()
	c.start()
	letPass(d)
	c.end(t)
}

func (c *crowd) watch(ctx context.Context) error {
	viewings := make(chan viewing)
	var all errgroup.Group
	for range atATime {
		all.Go(func() error {
			for v := range viewings {
				if err := c.view(v); err != nil {
					return err
				}
			}
			return nil
		})
	}
	all.Go(func() error {
		defer close(viewings)
		tick := time.NewTicker(c.pace)
		defer tick.Stop()
		count := 0
		for group := 0; ; group++ {
			list, err := c.group(group)
			if err != nil {
				return err
			}
			for _, v := range list {
				select {
				case <-ctx.Done():
					return nil
				case <-tick.C:
				}
				select {
				case <-ctx.Done():
					return nil
				case viewings <- v:
				}
				if count++; count%100 == 0 && c.poison != nil {
					id, sent := c.poison(count / 100)
					c.poisoned[id] = sent
				}
			}
		}
	})
	return all.Wait()
}

// group stores the videos of a group and returns what its viewers will watch.
func (c *crowd) group(n int) ([]viewing, error) {
	videos := make([]string, groupVideos)
	var uploads errgroup.Group
	for i := range videos {
		videos[i] = fmt.Sprintf("%s-%d-%02d", c.name, n, i)
		uploads.Go(func() error { return c.again(func() error { return c.upload(videos[i]) }) })
	}
	var list []viewing
	for viewer := range groupViewers {
		for _, i := range c.rnd.Perm(groupVideos)[:watchedEach] {
			list = append(list, viewing{uuid.NewString(), fmt.Sprintf("%s-%d-%d", c.name, n, viewer), videos[i]})
		}
	}
	c.rnd.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list, uploads.Wait()
}

func (c *crowd) upload(video string) error {
	r, err := call(context.Background(), c.client, http.MethodPost, c.storage+"/upload", strings.NewReader("a video"),
		"id", video, "Content-Type", "video/mp4")
	if err == nil && r.status != http.StatusCreated && r.status != http.StatusConflict { // with an earlier try
		err = fmt.Errorf("upload %s: %d %.200s", video, r.status, r.body)
	}
	return err
}

// view asks for the video until it comes, as a player does.
func (c *crowd) view(v viewing) error {
	c.mu.Lock()
	c.asked[v.id] = v
	c.mu.Unlock()
	if err := c.again(func() error { return c.play(v) }); err != nil {
		return fmt.Errorf("a viewer gets no video: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watched[v.id] = v
	return nil
}

func (c *crowd) again(try func() error) error {
	return chassistest.Poll(time.Minute, func() error {
		err := try()
		if err != nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.failed++
			c.failure = err
		}
		return err
	})
}

func (c *crowd) play(v viewing) error {
	r, err := call(context.Background(), c.client, http.MethodGet, c.streaming+"/video?id="+v.video+"&view="+v.id, nil,
		"Range", "bytes=0-0", web.ViewerHeader, v.viewer)
	if err == nil && (r.status != http.StatusPartialContent || string(r.body) != "a") {
		err = fmt.Errorf("the first byte: %d %.200q", r.status, r.body)
	}
	return err
}

// shown are the viewings whose video came.
func (c *crowd) shown() map[string]viewing {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.watched)
}
