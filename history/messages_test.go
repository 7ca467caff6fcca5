package main

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/messaging"
	"flixtube/chassis/messaging/brokers"
	"flixtube/chassis/messaging/messagingtest"
	"flixtube/contracts"
	"flixtube/contracts/limits"
)

func TestDecodeViewed(t *testing.T) {
	long, longest := strings.Repeat("x", limits.ID+1), strings.Repeat("x", limits.ID)
	tests := []struct {
		name, messageID, body string
		want                  view   // viewedAt zero: about now
		fails                 string // part of the error
	}{
		{
			name: "complete",
			body: `{"id":"1","viewedAt":"2026-01-02T04:04:05+01:00","viewer":{"id":"ann"},"video":{"id":"v"}}`,
			want: view{ID: "1", VideoID: "v", Viewer: "ann", ViewedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
		},
		{name: "video only, id of the message", messageID: "m", body: `{"video":{"id":"x"}}`, want: view{ID: "m", VideoID: "x"}},
		{name: "its own id first", messageID: "m", body: `{"id":"1","video":{"id":"x"}}`, want: view{ID: "1", VideoID: "x"}},
		{name: "more than is known", messageID: "m", body: `{"a":[1],"video":{"id":"x","b":{}}}`, want: view{ID: "m", VideoID: "x"}},
		{name: "longest ids", body: `{"id":"` + longest + `","video":{"id":"` + longest + `"}}`, want: view{ID: longest, VideoID: longest}},
		{name: "nothing", body: ``, fails: "not a viewed message"},
		{name: "not JSON", body: `{"video"`, fails: "not a viewed message"},
		{name: "not an object", body: `[]`, fails: "not a viewed message"},
		{name: "null", body: `null`, fails: "video.id must be 1 to 200 bytes of UTF-8"},
		{name: "no video", body: `{"id":"1"}`, fails: "video.id must be"},
		{name: "id is a number", body: `{"video":{"id":1}}`, fails: "not a viewed message"},
		{name: "not a time", body: `{"viewedAt":"yesterday","video":{"id":"x"}}`, fails: "not a viewed message"},
		{name: "after the year 9999", body: `{"viewedAt":"9999-12-31T23:59:59-01:00","video":{"id":"x"}}`, fails: "viewedAt"},
		{name: "before the year 0", body: `{"viewedAt":"0000-01-01T00:00:00+01:00","video":{"id":"x"}}`, fails: "viewedAt"},
		{name: "long id", body: `{"id":"` + long + `","video":{"id":"x"}}`, fails: "id must be 1 to"},
		{name: "long message id", messageID: long, body: `{"video":{"id":"x"}}`, fails: "id must be 1 to"},
		{name: "message id that is not UTF-8", messageID: "\xff", body: `{"video":{"id":"x"}}`, fails: "id must be 1 to"},
		{name: "long video id", body: `{"video":{"id":"` + long + `"}}`, fails: "video.id must be 1 to"},
		{name: "long viewer id", body: `{"video":{"id":"x"},"viewer":{"id":"` + long + `"}}`, fails: "viewer.id must be 1 to"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := decodeViewed(messaging.Message{ID: test.messageID, Body: []byte(test.body)})
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Fatalf("got %v, %v; want an error that says %q", got, err, test.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if test.want.ViewedAt.IsZero() {
				if ago := time.Since(got.ViewedAt); ago < 0 || ago > time.Minute {
					t.Errorf("viewed at %v, want now", got.ViewedAt)
				}
				test.want.ViewedAt = got.ViewedAt
			}
			if got != test.want {
				t.Errorf("got  %v\nwant %v", got, test.want)
			}
		})
	}
}

// TestSamples: history accepts the messages of the contracts.
func TestSamples(t *testing.T) {
	for name, want := range map[string]view{
		"viewed": {
			ID: "0b8f7c1e-2f4b-4a55-9b0e-3d1c1f6f8a10", VideoID: "5d9e690ad76fe06a3d7ae416",
			ViewedAt: time.Date(2026, 3, 1, 10, 15, 30, 123e6, time.UTC), Viewer: "Vb7Q0cJX1m2hN4tYkqZ8sL5rWfPe3aUd",
		},
		"viewed-minimal": {ID: "m", VideoID: "5d9e690ad76fe06a3d7ae416"},
	} {
		sample, err := contracts.Sample(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeViewed(messaging.Message{ID: "m", Body: sample})
		if want.ViewedAt.IsZero() {
			want.ViewedAt = got.ViewedAt // now
		}
		if err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", name, got, err, want)
		}
	}
	sample, err := contracts.Sample("video-removed")
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeVideoRemoved(messaging.Message{Body: sample})
	if want := "f3b0a6de-8a57-4d0c-9a35-2f6c1d0e7b94"; err != nil || got != want {
		t.Errorf("video-removed: %q, %v; want %q", got, err, want)
	}
}

// TestDecodeViewedWithoutAnyID: a body that has a time is the same view when it is delivered again.
func TestDecodeViewedWithoutAnyID(t *testing.T) {
	ids := map[string]bool{}
	for _, body := range []string{
		`{"video":{"id":"x"}}`,
		`{"viewedAt":"2026-01-02T03:04:05.006Z","video":{"id":"x"}}`,
		`{"viewedAt":"2026-01-02T03:04:05.007Z","video":{"id":"x"}}`,
		`{"viewedAt":"2026-01-02T03:04:05.007Z","video":{"id":"y"}}`,
	} {
		for range 3 {
			v, err := decodeViewed(messaging.Message{Body: []byte(body)})
			if err != nil || v.ID == "" {
				t.Errorf("%s: id %q, %v", body, v.ID, err)
			}
			ids[v.ID] = true
		}
	}
	if len(ids) != 3+3 {
		t.Errorf("%d ids, want three for the body without a time, and one for each of the others", len(ids))
	}
}

// TestForeignViewsCountOnce: views of other programs, without an id, that were stored and then failed are the same
// views when they are retried; one that has a time is the same view even when it is delivered again.
func TestForeignViewsCountOnce(t *testing.T) {
	broker, err := brokers.Connect(chassistest.JetStream(t))
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	q := messaging.Queue{Name: "viewed"}
	dated := messaging.Message{Body: []byte(`{"viewedAt":"2026-01-02T03:04:05Z","video":{"id":"dated"}}`)}
	if err := broker.Publisher(messaging.To(q)).Publish(t.Context(), []messaging.Message{
		{Body: []byte(`{"video":{"id":"bare"}}`)}, dated, {Body: []byte(`{"video":{"id":"bare"}}`)}, dated,
	}); err != nil {
		t.Fatal(err)
	}

	s := newTestStore(t)
	calls, done := 0, make(chan int, 10)
	ctx, stop := context.WithCancel(t.Context())
	consumed := make(chan error, 1)
	go func() {
		consumed <- messaging.NewConsumers(broker, slog.New(slog.DiscardHandler), messaging.Subscription{
			Queue: q,
			Handler: messaging.Decoded(decodeViewed, func(ctx context.Context, views []view) error {
				err := s.record(ctx, views)
				if calls++; err == nil && calls <= 3 {
					err = errors.New("stored, but something else failed")
				}
				if err == nil {
					done <- len(views)
				}
				return err
			}),
		}).Run(ctx)
	}()
	enough := time.After(30 * time.Second)
	for n := 0; n < 4; {
		select {
		case views := <-done:
			n += views
		case <-enough:
			t.Fatalf("%d of 4 are done", n)
		}
	}
	stop()
	if err := <-consumed; err != nil {
		t.Error(err)
	}
	count := map[string]int{}
	for _, v := range mustList(t, s, "") {
		count[v.VideoID]++
	}
	if count["bare"] != 2 || count["dated"] != 1 {
		t.Errorf("recorded: %v, want each of the two bare ones, and the dated one, once", count)
	}
}

func TestDecodeVideoRemoved(t *testing.T) {
	for body, want := range map[string]string{
		`{"id":"1","removedAt":"2026-01-02T03:04:05Z","video":{"id":"v"}}`: "v",
		`{"video":{"id":"v"}}`:                      "v",
		`{"more":[1],"video":{"id":"v","more":{}}}`: "v",
		`{"video":{}}`:                              "",
		`{"video":"v"}`:                             "",
		`{"video":{"id":"` + strings.Repeat("x", limits.ID+1) + `"}}`: "",
		`v`: "",
	} {
		got, err := decodeVideoRemoved(messaging.Message{Body: []byte(body)})
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: got %q, %v; want %q", body, got, err, want)
		}
	}
}

// TestAnyOrder does what a broker may do: it delivers messages in any order, more than once, in batches of any size, to
// several replicas at the same time. The result is the same as after delivering each once, in order.
func TestAnyOrder(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	for range 8 {
		sequence := someFacts(random)
		plain := newTestStore(t)
		messagingtest.InOrder(t, subscriptions(plain), sequence)
		shuffled := newTestStore(t)
		messagingtest.InAnyOrder(t, random, subscriptions(shuffled), sequence)
		for _, viewer := range []string{"", "viewer-0", "viewer-1", "viewer-2"} {
			want, got := mustList(t, plain, viewer), mustList(t, shuffled, viewer)
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("history of %q\ngot  %v\nwant %v", viewer, got, want)
			}
			if viewer == "" && len(want) == 0 {
				t.Fatal("nothing to compare")
			}
		}
	}
}

// someFacts are 40 views by three viewers of eight videos, two of which are removed somewhere in between.
func someFacts(random *rand.Rand) []messagingtest.Fact {
	var facts []messagingtest.Fact
	for i := range 40 {
		queue := "history.viewed"
		if random.IntN(4) == 0 {
			queue = "viewed"
		}
		facts = append(facts, messagingtest.Fact{Queue: queue, Message: messaging.Message{ID: "m" + strconv.Itoa(i), Body: []byte(`{
			"viewedAt":"2026-01-02T03:04:` + strconv.Itoa(10+random.IntN(20)) + `Z",
			"viewer":{"id":"viewer-` + strconv.Itoa(random.IntN(3)) + `"},
			"video":{"id":"video-` + strconv.Itoa(random.IntN(8)) + `"}}`)}})
	}
	for _, video := range []string{"video-0", "video-1"} {
		facts = append(facts, messagingtest.Fact{Queue: "history.video-removed", Message: messaging.Message{ID: "removed " + video, Body: []byte(`{"video":{"id":"` + video + `"}}`)}})
	}
	random.Shuffle(len(facts), func(i, j int) { facts[i], facts[j] = facts[j], facts[i] })
	return facts
}
