package main

import (
	"context"
	crand "crypto/rand"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/database"
	"flixtube/contracts/limits"
)

// newTestStore returns a store in a database of its own.
func newTestStore(t *testing.T) *store {
	t.Helper()
	db, err := database.Connect(chassistest.Mongo(t), "recommendations_"+strings.ToLower(crand.Text()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = db.Drop(context.WithoutCancel(t.Context()))
		db.Close()
	})
	s := newStore(db)
	if err := s.ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// viewing is the view of a message with this id.
func viewing(id, viewer, video string) view {
	v := view{ID: anonymousViewID(id), Viewer: viewer, VideoID: video, ViewedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	if viewer != "" {
		v.ID = viewID(viewer, video, v.ViewedAt)
	}
	return v
}

// recordAll stores what each viewer watched, as in {"ann": "x y z"}; "" is views without a viewer.
func recordAll(t *testing.T, s *store, watched map[string]string) {
	t.Helper()
	var views []view
	for viewer, videos := range watched {
		for _, video := range strings.Fields(videos) {
			views = append(views, viewing(fmt.Sprintf("m%d%s", len(views), viewer), viewer, video))
		}
	}
	if err := s.record(t.Context(), views); err != nil {
		t.Fatal(err)
	}
}

func coViewed(t *testing.T, s *store, viewer, watching string) string {
	t.Helper()
	seen, _, err := s.seen(t.Context(), viewer)
	if err != nil {
		t.Fatal(err)
	}
	videos, err := s.coViewed(t.Context(), viewer, seen, watching)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(videos, " ")
}

func popular(t *testing.T, s *store) string {
	t.Helper()
	videos, err := s.popular(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(videos, " ")
}

// TestCoViewed ranks by hand. Of those who share a video with ann, who watched a, b and c,
//
//	bob shares 3, cid 1, dan 1, eve 1 (and fay, gus none), so that
//	p has cid, dan and eve; r has bob and cid; q has cid and dan; t has bob; s has dan; y and z have eve.
//
// q and r have two viewers each, but bob has more in common with ann; so has t against s, y and z.
func TestCoViewed(t *testing.T) {
	s := newTestStore(t)
	recordAll(t, s, map[string]string{
		"ann": "a b c",
		"bob": "a b c r t",
		"cid": "a p q r",
		"dan": "b p q s",
		"eve": "c p z y",
		"fay": "u v",
		"gus": "r u",
		"":    "a b c s t u",
	})
	for _, test := range []struct{ viewer, watching, want string }{
		{"ann", "", "p r q t s y z"},
		{"ann", "r", "p q t u s y z"}, // p, q, t and u have one viewer of r; of t and u, bob's t has more in common
		{"ann", "a", "r p q t s y z"}, // r has two viewers of a, which counts more than p's three of anything
		{"ann", "unknown", "p r q t s y z"},
		{"", "v", "u"},
		{"", "", ""},
		{"nobody", "", ""},
		{"nobody", "v", "u"},
		{"fay", "", "r"},
	} {
		if got := coViewed(t, s, test.viewer, test.watching); got != test.want {
			t.Errorf("coViewed(%q, %q): got %q, want %q", test.viewer, test.watching, got, test.want)
		}
	}
}

func TestPopularCountsViewersNotViewings(t *testing.T) {
	s := newTestStore(t)
	recordAll(t, s, map[string]string{"ann": "x y z", "bob": "y z", "cid": "a"})
	for i := range 5 { // ann watches x again and again
		if err := s.record(t.Context(), []view{viewing(fmt.Sprint("again", i), "ann", "x")}); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := popular(t, s), "y z a x"; got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
	for range 2 { // one view without a viewer, delivered twice
		if err := s.record(t.Context(), []view{viewing("someone", "", "z")}); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := popular(t, s), "z y a x"; got != want {
		t.Fatalf("with one view more: got %q, want %q", got, want)
	}
}

// TestCount: a viewer, a video and a half hour are one view, and so is a document of a version that counted viewers. A viewer
// who returns is no other viewer to the recommendations.
func TestCount(t *testing.T) {
	s := newTestStore(t)
	old := viewing("", "old", "x")
	old.ID = "by 3 old x"
	views := []view{old}
	for _, minute := range []int{0, 10, 29, 30, 59, 60, 300} { // four half hours; the first has 3:04:05 and begins at 3:00
		v := viewing("", "ann", "x")
		v.ViewedAt = v.ViewedAt.Truncate(time.Hour).Add(time.Duration(minute) * time.Minute)
		v.ID = viewID(v.Viewer, v.VideoID, v.ViewedAt)
		views = append(views, v, v)
	}
	views = append(views, viewing("1", "", "x"), viewing("2", "", "x"), viewing("", "ann", "y"), viewing("", "bob", "y"), viewing("", "cid", "y"), viewing("", "bob", "z"))
	for range 2 {
		rand.Shuffle(len(views), func(i, j int) { views[i], views[j] = views[j], views[i] })
		for _, v := range views {
			if err := s.record(t.Context(), []view{v}); err != nil {
				t.Fatal(err)
			}
		}
	}
	counts, err := s.count(t.Context(), []string{"x", "y", "none"})
	if want := map[string]int64{"x": 1 + 4 + 2, "y": 3}; err != nil || !reflect.DeepEqual(counts, want) {
		t.Errorf("counted %v, %v; want %v", counts, err, want)
	}
	if got, want := popular(t, s), "x y z"; got != want { // x has four viewers, two of them unknown
		t.Errorf("popular: %q, want %q", got, want)
	}
	if seen, all, err := s.seen(t.Context(), "ann"); err != nil || !all || len(seen) != 2 {
		t.Errorf("ann has seen %q, %t, %v", seen, all, err)
	}
	if got, want := coViewed(t, s, "cid", ""), "x z"; got != want { // one co-viewer each
		t.Errorf("co-viewed: %q, want %q", got, want)
	}
}

func TestWatchedTellsStrangeIDsApart(t *testing.T) {
	s := newTestStore(t)
	strange := []string{"a.b", "$set", "nul\x00", "é", `{"$gt":""}`, "a", "a b", "1 a", strings.Repeat("x", limits.ID)}
	for _, id := range strange {
		if err := s.record(t.Context(), []view{viewing("1", id, id), viewing("2", id, "b "+id)}); err != nil {
			t.Errorf("record %q: %v", id, err)
		}
	}
	for _, id := range strange {
		watched, err := s.watched(t.Context(), id, append(strange, "b "+id, "unknown"))
		if want := map[string]bool{id: true, "b " + id: true}; err != nil || !reflect.DeepEqual(watched, want) {
			t.Errorf("watched by %q: %v, %v; want %v", id, watched, err, want)
		}
	}
}

func TestForget(t *testing.T) {
	s := newTestStore(t)
	recordAll(t, s, map[string]string{"ann": "a", "bob": "a x y", "": "x x"})
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"removal", func() error { return s.facts.Forget(t.Context(), []string{"x"}) }},
		{"a late view", func() error {
			return s.record(t.Context(), []view{viewing("late", "cid", "x"), viewing("1", "cid", "a")})
		}},
		{"removal again", func() error { return s.facts.Forget(t.Context(), []string{"x", "x"}) }},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got := coViewed(t, s, "ann", ""); got != "y" {
			t.Errorf("co-viewed after %s: %q, want y", step.name, got)
		}
		if got := popular(t, s); got != "a y" {
			t.Errorf("popular after %s: %q, want a y", step.name, got)
		}
	}
}

// TestCaps asks about more than one question looks at: it must be the most recent.
func TestCaps(t *testing.T) {
	var views []view
	add := func(minute int, viewer string, videos ...string) {
		for _, video := range videos {
			v := viewing("", viewer, video)
			v.ViewedAt = v.ViewedAt.Add(time.Duration(minute) * time.Minute)
			views = append(views, v)
		}
	}
	for i := range maxSeeds + 1 {
		add(i, "seeds", fmt.Sprint("seed-", i))
	}
	add(0, "b", "seed-0", "of the oldest seed")
	add(0, "c", "seed-1", "of another seed")
	add(0, "co-viewers", "x")
	for i := range maxCoViewers {
		add(1+i, fmt.Sprint("viewer-", i), "x", "of many")
	}
	add(0, "d", "x", "of the oldest co-viewer")
	add(0, "candidates", "y")
	for i := range maxCandidates + 1 {
		add(0, "e", "y", fmt.Sprint(1000+i))
	}
	s := newTestStore(t)
	if err := s.record(t.Context(), views); err != nil {
		t.Fatal(err)
	}
	if got := coViewed(t, s, "seeds", ""); got != "of another seed" {
		t.Errorf("more than %d seeds: got %q", maxSeeds, got)
	}
	if got := coViewed(t, s, "co-viewers", ""); got != "of many" {
		t.Errorf("more than %d co-viewers: got %q", maxCoViewers, got)
	}
	if got := strings.Fields(coViewed(t, s, "candidates", "")); len(got) != maxCandidates || got[0] != "1000" {
		t.Errorf("got %d candidates, want the first %d", len(got), maxCandidates)
	}
	for _, r := range mustRecommend(t, s, "seeds", "") { // seed-0 is popular
		if strings.HasPrefix(r.VideoID, "seed-") {
			t.Errorf("recommends %v, which was watched", r)
		}
	}
	watched, err := s.watched(t.Context(), "seeds", []string{"seed-0", "seed-100", "x"})
	if want := map[string]bool{"seed-0": true, "seed-100": true}; err != nil || !reflect.DeepEqual(watched, want) {
		t.Errorf("watched: %v, %v; want %v", watched, err, want)
	}
}
