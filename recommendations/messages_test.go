package main

import (
	"log/slog"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/messaging"
	"flixtube/chassis/messaging/messagingtest"
	"flixtube/contracts"
	"flixtube/contracts/limits"
)

func TestDecode(t *testing.T) {
	long := strings.Repeat("x", limits.ID+1)
	for body, want := range map[string]string{ // id, viewer, video; "" is an error
		`{"id":"1","viewedAt":"2026-01-02T03:04:05Z","viewer":{"id":"ann"},"video":{"id":"v"}}`: "view 3 ann 981846 v/ann/v",
		`{"video":{"id":"x"}}`:                    "message m//x",
		`{"video":{"id":"x","more":1},"more":[]}`: "message m//x",
		`{"video":{}}`:                            "",
		`{"video":"x"}`:                           "",
		`{"viewedAt":"today","video":{"id":"x"}}`: "",
		`{"viewedAt":"9999-12-31T23:59:59-01:00","video":{"id":"x"}}`: "",
		`{"viewedAt":"0000-01-01T00:00:00+01:00","video":{"id":"x"}}`: "",
		`null`:                            "",
		`{"video"`:                        "",
		`{"video":{"id":"` + long + `"}}`: "",
		`{"id":"` + long + `","video":{"id":"x"}}`:                                                         "",
		`{"viewer":{"id":"` + long + `"},"video":{"id":"x"}}`:                                              "",
		`{"id":"` + long + `","viewedAt":"1970-01-01T00:30:00Z","viewer":{"id":"ann"},"video":{"id":"x"}}`: "view 3 ann 1 x/ann/x", // the id does not matter
	} {
		v, err := decodeViewed(messaging.Message{ID: "m", Body: []byte(body)})
		if got := v.ID + "/" + v.Viewer + "/" + v.VideoID; (err == nil) != (want != "") || err == nil && got != want {
			t.Errorf("viewed %.80s: got %q, %v; want %q", body, got, err, want)
		}
		if err == nil && v.ViewedAt.IsZero() {
			t.Errorf("viewed %.80s: no time", body)
		}
	}
	for body, ids := range map[string]int{ // of three deliveries without an id
		`{"viewedAt":"2026-01-02T03:04:05.006Z","video":{"id":"x"}}`: 1,
		`{"video":{"id":"x"}}`: 3,
	} {
		got := map[string]bool{}
		for range 3 {
			v, err := decodeViewed(messaging.Message{Body: []byte(body)})
			if err != nil || v.ID == "" {
				t.Errorf("viewed %s: id %q, %v", body, v.ID, err)
			}
			got[v.ID] = true
		}
		if len(got) != ids {
			t.Errorf("viewed %s: ids %v, want %d", body, got, ids)
		}
	}
	for body, want := range map[string]string{
		`{"id":"1","video":{"id":"v"}}`:   "v",
		`{"video":{"id":"` + long + `"}}`: "",
		`{"video":{}}`:                    "",
		`[]`:                              "",
	} {
		got, err := decodeVideoRemoved(messaging.Message{Body: []byte(body)})
		if got != want || (err == nil) != (want != "") {
			t.Errorf("removed %s: got %q, %v; want %q", body, got, err, want)
		}
	}
}

// TestSamples: recommendations accepts the messages of the contracts.
func TestSamples(t *testing.T) {
	const video, viewer = "5d9e690ad76fe06a3d7ae416", "Vb7Q0cJX1m2hN4tYkqZ8sL5rWfPe3aUd"
	for name, want := range map[string]view{
		"viewed": {
			ID: viewID(viewer, video, time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)), Viewer: viewer, VideoID: video, ViewedAt: time.Date(2026, 3, 1, 10, 15, 30, 123e6, time.UTC),
		},
		"viewed-minimal": {ID: anonymousViewID("m"), VideoID: video},
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
	const removed = "f3b0a6de-8a57-4d0c-9a35-2f6c1d0e7b94"
	if got, err := decodeVideoRemoved(messaging.Message{Body: sample}); err != nil || got != removed {
		t.Errorf("video-removed: %q, %v; want %q", got, err, removed)
	}
}

// TestAnyOrder does what a broker may do: it delivers messages in any order, more than once, in batches of any size, to
// several replicas at the same time. The result is the same as after delivering each once, in order, as long as no
// question has more views to read than its limit.
func TestAnyOrder(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	for range 8 {
		sequence := someFacts(random)
		plain, shuffled := newTestStore(t), newTestStore(t)
		messagingtest.InOrder(t, subscriptions(plain), sequence)
		messagingtest.InAnyOrder(t, random, subscriptions(shuffled), sequence)
		for _, viewer := range []string{"", "viewer-1", "viewer-2", "viewer-3", "viewer-4"} {
			for _, watching := range []string{"", "video-0", "video-4"} {
				want, got := mustRecommend(t, plain, viewer, watching), mustRecommend(t, shuffled, viewer, watching)
				if !reflect.DeepEqual(got, want) {
					t.Fatalf("for %q, watching %q\ngot  %v\nwant %v", viewer, watching, got, want)
				}
				if viewer == "" && len(want) == 0 {
					t.Fatal("nothing to compare")
				}
			}
		}
	}
}

func mustRecommend(t *testing.T, s *store, viewer, watching string) []recommendation {
	t.Helper()
	found, _, err := newService(s, fakeCatalogue{}, slog.New(slog.DiscardHandler)).recommend(t.Context(), viewer, watching, maxRecommendations)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// someFacts are 40 views of ten videos, by four viewers and some without one; two of the videos are removed
// somewhere in between.
func someFacts(random *rand.Rand) []messagingtest.Fact {
	var facts []messagingtest.Fact
	for i := range 40 {
		viewer := ""
		if n := random.IntN(5); n > 0 {
			viewer = `"viewer":{"id":"viewer-` + strconv.Itoa(n) + `"},`
		}
		facts = append(facts, messagingtest.Fact{Queue: "recommendations.viewed", Message: messaging.Message{
			ID:   "m" + strconv.Itoa(i),
			Body: []byte(`{"viewedAt":"2026-01-02T03:04:` + strconv.Itoa(10+random.IntN(20)) + `Z",` + viewer + `"video":{"id":"video-` + strconv.Itoa(random.IntN(10)) + `"}}`),
		}})
	}
	for _, video := range []string{"video-0", "video-1"} {
		facts = append(facts, messagingtest.Fact{Queue: "recommendations.video-removed", Message: messaging.Message{
			ID: "removed " + video, Body: []byte(`{"video":{"id":"` + video + `"}}`),
		}})
	}
	random.Shuffle(len(facts), func(i, j int) { facts[i], facts[j] = facts[j], facts[i] })
	return facts
}
