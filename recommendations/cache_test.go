package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"flixtube/contracts/limits"
)

func views(h http.Handler, query string) string {
	res := httptest.NewRecorder()
	h.ServeHTTP(res, httptest.NewRequest(http.MethodGet, "/views?"+query, nil))
	return fmt.Sprint(res.Code, " ", strings.TrimSpace(res.Body.String()))
}

// TestViews asks a real database. Each handler has a cache of its own.
func TestViews(t *testing.T) {
	s := newTestStore(t)
	recordAll(t, s, map[string]string{"ann": "a b $set", "bob": "a", "cid": "a b", "": "b b"})
	if err := s.record(t.Context(), []view{viewing("again", "ann", "a"), viewing("odd", "ann", "é\x00 {$gt}")}); err != nil {
		t.Fatal(err)
	}
	if views, err := s.count(t.Context(), []string{"b", "none"}); err != nil || len(views) != 1 || views["b"] != 4 {
		t.Errorf("views of b: %v, %v", views, err)
	}
	for query, want := range map[string]string{
		"id=a":               `{"views":{"a":3}}`,
		"id=b&id=none&id=a":  `{"views":{"a":3,"b":4,"none":0}}`,
		"id=a&id=a":          `{"views":{"a":3}}`,
		"id=%24set&id=%24a":  `{"views":{"$a":0,"$set":1}}`,
		"id=a%20b&id=a,b":    `{"views":{"a b":0,"a,b":0}}`,
		"id=%c3%a9%00+{$gt}": `{"views":{"é\u0000 {$gt}":1}}`,
	} {
		if got := views(newHandler(s, fakeCatalogue{}, discard), query); got != "200 "+want {
			t.Errorf("GET /views?%s: %s, want %s", query, got, want)
		}
	}
	if err := s.facts.Forget(t.Context(), []string{"b"}); err != nil {
		t.Fatal(err)
	}
	if got, want := views(newHandler(s, fakeCatalogue{}, discard), "id=a&id=b"), `200 {"views":{"a":3,"b":0}}`; got != want {
		t.Errorf("after b was removed: %s, want %s", got, want)
	}
}

func TestViewsLimits(t *testing.T) {
	h := newHandler(fakeStore{}, fakeCatalogue{}, discard)
	many := url.Values{}
	for i := range limits.IDs {
		many.Add("id", fmt.Sprint(i))
	}
	for query, status := range map[string]string{
		many.Encode(): "200", many.Encode() + "&id=0": "400", "": "400", "id=": "400", "id=a&id=": "400", "id=%ff": "400",
		"id=" + strings.Repeat("x", limits.ID): "200", "id=" + strings.Repeat("x", limits.ID+1): "400", "video=a": "400",
	} {
		if got := views(h, query); !strings.HasPrefix(got, status+" {") {
			t.Errorf("%.40q: %.80s, want %s", query, got, status)
		}
	}
	broken := newHandler(fakeStore{err: errors.New("dial tcp 10.0.0.7: secret")}, fakeCatalogue{}, discard)
	if got := views(broken, "id=a"); got != `500 {"error":"internal error","code":"internal_error"}` {
		t.Errorf("database down: %s", got)
	}
}

// fakeViews takes some time to count, and then finds as many views of each video as it was asked times. It fails the
// test if it is asked again before that.
type fakeViews struct {
	t     *testing.T
	takes time.Duration
	err   error
	busy  bool
	asked []string
}

func (f *fakeViews) count(ctx context.Context, videos []string) (map[string]int64, error) {
	if f.busy {
		f.t.Error("two are counting at the same time")
	}
	f.busy = true
	f.asked = append(f.asked, strings.Join(videos, " "))
	select {
	case <-ctx.Done():
	case <-time.After(f.takes):
	}
	f.busy = false
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	viewers := map[string]int64{}
	for _, id := range videos {
		viewers[id] = int64(len(f.asked))
	}
	return viewers, f.err
}

// pass lets time pass, which costs none in a synctest bubble.
func pass(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // the clock is not a real one

// TestCache plays some minutes of pages that ask for counts.
func TestCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const quick, keptFor = 100 * time.Millisecond, 2 * minFresh
		f := &fakeViews{t: t, takes: quick}
		c := newCache(f.count)
		ask := func(step, videos, want string, wait time.Duration) {
			t.Helper()
			start := time.Now()
			ctx, cancel := context.WithCancel(t.Context())
			viewers, err := c.get(ctx, strings.Fields(videos))
			cancel() // as when a request has been answered
			got := ""
			for _, id := range strings.Fields(videos) {
				got += fmt.Sprint(viewers[id])
			}
			if err != nil {
				got = err.Error()
			}
			if took := time.Since(start); got != want || took != wait {
				t.Errorf("%s: %s after %v, want %s after %v (asked %q)", step, got, took, want, wait, f.asked)
			}
		}
		ask("unknown", "a b", "11", quick)
		pass(minFresh)
		ask("fresh", "b", "1", 0)
		ask("one more", "a b c", "112", quick)
		pass(quick)
		ask("old: at once", "a b c", "112", 0)
		ask("old, and being counted", "b a", "11", 0)
		pass(quick + 1)
		ask("counted behind", "a b c", "332", 0)
		pass(keptFor + 1)
		ask("too old", "a b", "44", quick)

		f.err = errors.New("no database")
		pass(minFresh + 1)
		ask("old, and none better to be had", "a", "4", 0)
		pass(minFresh)
		ask("none to be had", "a", "no database", quick)
		f.err = nil
		ask("again", "a", "7", quick)

		// Whoever asks for the same at the same time waits for one count, and it is made though the first gives up.
		pass(keptFor + 1)
		f.asked = nil
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		var pages errgroup.Group
		for i := range 10 {
			pages.Go(func() error {
				if i > 0 {
					pass(time.Duration(i))
					ask("with others", "a", "1", quick-time.Duration(i))
					return nil
				}
				_, err := c.get(ctx, []string{"a"})
				return err
			})
		}
		if err := pages.Wait(); !errors.Is(err, context.DeadlineExceeded) || len(f.asked) != 1 {
			t.Errorf("gave up with %v; asked %q", err, f.asked)
		}

		// What takes long is asked for less often.
		const slow, fresh = 10 * time.Second, freshCost * 10 * time.Second
		f.takes = slow
		pass(keptFor + 1)
		ask("slow", "a", "2", slow)
		pass(fresh)
		ask("slow and fresh", "a", "2", 0)
		pass(1)
		ask("slow and old: at once", "a", "2", 0)
		pass(slow + 1)
		ask("slow, counted behind", "a", "3", 0)
		pass(2*fresh + 1)
		ask("slow and too old", "a", "4", slow)
	})
}

// TestCacheIsBounded: all questions are answered, and the cache does not grow without a limit.
func TestCacheIsBounded(t *testing.T) {
	c := newCache(func(_ context.Context, videos []string) (map[string]int64, error) {
		return map[string]int64{videos[0]: 7}, nil
	})
	for i := range maxCached / limits.IDs * 3 {
		videos := make([]string, limits.IDs)
		for k := range videos {
			videos[k] = fmt.Sprint(i, "-", k)
		}
		viewers, err := c.get(t.Context(), videos)
		if err != nil || len(viewers) != limits.IDs || viewers[videos[0]] != 7 || viewers[videos[1]] != 0 {
			t.Fatalf("page %d: %v, %v", i, viewers, err)
		}
		if c.answers.Len() > maxCached {
			t.Fatalf("the cache holds %d", c.answers.Len())
		}
	}
}
