package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"golang.org/x/sync/errgroup"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/database"
	"flixtube/chassis/web"
	"flixtube/contracts/limits"
)

// newTestStore returns a store in a database of its own.
func newTestStore(t *testing.T) *store {
	t.Helper()
	db, err := database.Connect(chassistest.Mongo(t), "history_"+strings.ToLower(rand.Text()))
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

func mustList(t *testing.T, s *store, viewer string) []view {
	t.Helper()
	views, err := s.list(t.Context(), viewer, 0, web.MaxPage)
	if err != nil {
		t.Fatal(err)
	}
	return views
}

// viewing is a view at this minute.
func viewing(id, viewer, video string, minute int) view {
	return view{ID: id, Viewer: viewer, VideoID: video, ViewedAt: time.Date(2026, 1, 2, 3, minute, 0, 0, time.UTC)}
}

func ids(views []view) string {
	var ids []string
	for _, v := range views {
		ids = append(ids, v.ID)
	}
	return strings.Join(ids, " ")
}

func TestRecordKeepsTheSameFactOnce(t *testing.T) {
	s := newTestStore(t)
	a, b, c := viewing("a", "ann", "x", 1), viewing("b", "bob", "x", 2), viewing("c", "ann", "y", 3)
	for _, batch := range [][]view{{a}, {a}, {a, b, a, b}, {b, c, a}} {
		if err := s.record(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	if got := ids(mustList(t, s, "")); got != "c b a" {
		t.Errorf("got %q, want each once: c b a", got)
	}
}

func TestRecordAtTheSameTime(t *testing.T) {
	s := newTestStore(t)
	var group errgroup.Group
	for range 16 {
		group.Go(func() error {
			return s.record(t.Context(), []view{viewing("a", "ann", "x", 1), viewing("b", "ann", "x", 2)})
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := ids(mustList(t, s, "ann")); got != "b a" {
		t.Errorf("got %q, want each once: b a", got)
	}
}

func TestForget(t *testing.T) {
	before, after := viewing("before", "ann", "x", 1), viewing("after", "ann", "x", 2)
	kept := viewing("kept", "ann", "y", 3)
	s := newTestStore(t)
	steps := []struct {
		name string
		do   func() error
		want string
	}{
		{"views", func() error { return s.record(t.Context(), []view{before, kept}) }, "kept before"},
		{"removal", func() error { return s.forget(t.Context(), []string{"x"}) }, "kept"},
		{"view of a removed video", func() error { return s.record(t.Context(), []view{after}) }, "kept"},
		{"the same view again", func() error { return s.record(t.Context(), []view{before, kept}) }, "kept"},
		{"the same removal again", func() error { return s.forget(t.Context(), []string{"x", "x"}) }, "kept"},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got := ids(mustList(t, s, "")); got != step.want {
			t.Fatalf("after %s: got %q, want %q", step.name, got, step.want)
		}
	}
}

func TestRecordTakesStrangeIDs(t *testing.T) {
	s := newTestStore(t)
	strange := []string{"a.b", "$set", "nul\x00", "é", "'; drop table x", `{"$gt":""}`, "../../x", strings.Repeat("x", limits.ID)}
	for i, id := range strange {
		if err := s.record(t.Context(), []view{viewing(id, id, id, i)}); err != nil {
			t.Errorf("record %q: %v", id, err)
		}
	}
	for _, id := range strange {
		if got := mustList(t, s, id); len(got) != 1 || got[0].ID != id || got[0].VideoID != id {
			t.Errorf("history of %q: %v", id, got)
		}
	}
	if err := s.forget(t.Context(), strange); err != nil {
		t.Fatal(err)
	}
	if got := mustList(t, s, ""); len(got) > 0 {
		t.Errorf("not forgotten: %v", got)
	}
}

func TestListPages(t *testing.T) {
	s := newTestStore(t)
	var views []view
	for i, id := range []string{"a", "b", "c", "d", "e"} {
		viewer := "ann"
		if i%2 == 1 {
			viewer = "bob"
		}
		views = append(views, viewing(id, viewer, "x", i))
	}
	slices.Reverse(views[:4])                          // the order in which they come must not matter,
	views = append(views, viewing("f", "ann", "x", 4)) // and the id decides between those of the same time
	if err := s.record(t.Context(), views); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		viewer      string
		skip, limit int64
		want        string
	}{
		{"", 0, 100, "e f d c b a"},
		{"", 0, 2, "e f"},
		{"", 2, 2, "d c"},
		{"", 5, 2, "a"},
		{"", 6, 2, ""},
		{"", 0, 0, ""},
		{"ann", 0, 100, "e f c a"},
		{"bob", 0, 100, "d b"},
		{"bob", 1, 1, "b"},
		{"eve", 0, 100, ""},
	} {
		got, err := s.list(t.Context(), test.viewer, test.skip, test.limit)
		if err != nil || got == nil || ids(got) != test.want {
			t.Errorf("list(%q, %d, %d): got %q, %v; want %q", test.viewer, test.skip, test.limit, ids(got), err, test.want)
		}
	}
}

func at(viewer, video string, seconds float64) position {
	return position{VideoID: video, Viewer: viewer, Position: seconds, Duration: 100, SavedAt: time.Now().UTC()}
}

func savedPositions(t *testing.T, s *store, viewer string) string {
	t.Helper()
	found, err := s.listPositions(t.Context(), viewer, 0, web.MaxPage)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, p := range found {
		all = append(all, fmt.Sprintf("%s=%v", p.VideoID, p.Position))
	}
	return strings.Join(all, " ")
}

// TestPositionsAtTheSameTime saves one position many times at the same time, and other positions of the viewer.
// TestByDay: however often a viewer watches a video on a day, it is one line, which is removed as one.
func TestByDay(t *testing.T) {
	s := newTestStore(t)
	var views []view
	for i := range 5 {
		views = append(views, viewing("x"+strconv.Itoa(i), "ann", "x", i))
	}
	day := func(v view, days int) view {
		v.ViewedAt = v.ViewedAt.AddDate(0, 0, days)
		return v
	}
	views = append(views, viewing("y", "ann", "y", 2), day(viewing("before", "ann", "x", 0), -1), viewing("other", "bob", "x", 9),
		day(viewing("last", "ann", "z", 0), -2))
	if err := s.record(t.Context(), views); err != nil {
		t.Fatal(err)
	}
	if err := s.savePosition(t.Context(), at("ann", "x", 7)); err != nil {
		t.Fatal(err)
	}
	list := func(skip, limit int64) string {
		t.Helper()
		lines, err := s.listByDay(t.Context(), "ann", skip, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range lines {
			if v.VideoID == "x" && v.Position != 7 {
				t.Errorf("%s has the position %g", v.ID, v.Position)
			}
		}
		return ids(lines)
	}
	for _, page := range []struct {
		skip, limit int64
		want        string
	}{{0, 100, "x4 y before last"}, {0, 0, ""}, {0, 2, "x4 y"}, {1, 2, "y before"}, {3, 9, "last"}, {4, 9, ""}} {
		if got := list(page.skip, page.limit); got != page.want {
			t.Errorf("from line %d, %d lines: %q, want %q", page.skip, page.limit, got, page.want)
		}
	}
	if err := s.hide(t.Context(), "bob", "x4", true); !errors.Is(err, errNoView) {
		t.Errorf("another viewer's line: %v", err)
	}
	for range 2 {
		if err := s.hide(t.Context(), "ann", "x4", true); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.record(t.Context(), views); err != nil { // again
		t.Fatal(err)
	}
	if err := s.savePosition(t.Context(), at("ann", "x", 7)); err != nil {
		t.Fatal(err)
	}
	if got := list(0, 100); got != "y before last" {
		t.Errorf("after a line was removed: %q", got)
	}
	if got := ids(mustList(t, s, "bob")); got != "other" {
		t.Errorf("bob's history is %q", got)
	}
}

func TestPositionsAtTheSameTime(t *testing.T) {
	s := newTestStore(t)
	var group errgroup.Group
	for i := range 16 {
		group.Go(func() error { return s.savePosition(t.Context(), at("ann", "x", float64(i))) })
		group.Go(func() error { return s.savePosition(t.Context(), at("ann", "v"+strconv.Itoa(i), 7)) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(savedPositions(t, s, "ann")); len(got) != 17 {
		t.Errorf("16 videos and one more have the positions %v", got)
	}
	if err := s.savePosition(t.Context(), at("ann", "x", 42)); err != nil {
		t.Fatal(err)
	}
	if p, err := s.position(t.Context(), "ann", "x"); p.Position != 42 || err != nil {
		t.Errorf("the last one is %v, %v", p, err)
	}
}

// TestOldPositionsGo: a viewer has a bounded number of positions, and the last saved stay.
func TestOldPositionsGo(t *testing.T) {
	s := newTestStore(t)
	began := time.Now().UTC().Add(-time.Hour)
	many := make([]position, limits.Positions)
	for i := range many {
		many[i] = at("ann", "v"+strconv.Itoa(i), 1)
		many[i].ID, many[i].SavedAt = positionID("ann", many[i].VideoID), began.Add(time.Duration(i)*time.Second)
	}
	if _, err := s.positions.Documents.InsertMany(t.Context(), many); err != nil {
		t.Fatal(err)
	}
	for _, p := range []position{at("bob", "v0", 1), at("ann", "v0", 2), at("ann", "new", 3), at("ann", "new", 4)} {
		if err := s.savePosition(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	for video, want := range map[string]bool{"v0": true, "v1": false, "v2": true, "new": true} {
		if _, err := s.position(t.Context(), "ann", video); (err == nil) != want {
			t.Errorf("the position in %s is there: %t, want %t (%v)", video, err == nil, want, err)
		}
	}
	for viewer, want := range map[string]int64{"ann": limits.Positions, "bob": 1} {
		if n, err := s.positions.Documents.CountDocuments(t.Context(), bson.D{{Key: "viewer", Value: viewer}}); n != want || err != nil {
			t.Errorf("%s has %d positions, want %d (%v)", viewer, n, want, err)
		}
	}
}

func TestPositionsOfRemovedVideos(t *testing.T) {
	s := newTestStore(t)
	for i := range 20 {
		video := "video-" + strconv.Itoa(i)
		var group errgroup.Group
		group.Go(func() error { return s.savePosition(t.Context(), at("ann", video, 1)) })
		group.Go(func() error { return s.forget(t.Context(), []string{video}) })
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.savePosition(t.Context(), at("ann", "video-1", 2)); err != nil {
		t.Fatal(err)
	}
	if got := savedPositions(t, s, "ann"); got != "" {
		t.Errorf("positions of removed videos stay: %s", got)
	}
}

// TestClearedStaysCleared sends views after the history was cleared: again, late, and new ones.
func TestClearedStaysCleared(t *testing.T) {
	s := newTestStore(t)
	seen, late, next := viewing("seen", "ann", "x", 1), viewing("late", "ann", "y", 2), viewing("next", "ann", "x", 4)
	other, ahead := viewing("other", "bob", "x", 1), viewing("ahead", "ann", "z", 5) // of a clock that is ahead
	if err := s.record(t.Context(), []view{seen, other, ahead}); err != nil {
		t.Fatal(err)
	}
	for _, video := range []string{"x", "y", "w"} {
		if err := s.savePosition(t.Context(), at("ann", video, 1)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := s.clear(t.Context(), "ann", seen.ViewedAt.Add(2*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.record(t.Context(), []view{seen, late, next, ahead}); err != nil {
		t.Fatal(err)
	}
	if got := ids(mustList(t, s, "ann")); got != "next" {
		t.Errorf("got %q, want next alone", got)
	}
	if got := ids(mustList(t, s, "")); got != "next other" {
		t.Errorf("everyone's history is %q, want next and another viewer's", got)
	}
	if got := savedPositions(t, s, "ann"); got != "" {
		t.Errorf("positions stay: %s", got)
	}
	for _, video := range []string{"y", "z"} {
		if n, err := s.views.CountDocuments(t.Context(), bson.D{{Key: "videoId", Value: video}}); n != 0 || err != nil {
			t.Errorf("that %s was watched is still there: %d, %v", video, n, err)
		}
	}
}

// TestRecordAndClearAtTheSameTime looks for a view that stays, stored between the note that the history is cleared and the
// hiding of its views.
func TestRecordAndClearAtTheSameTime(t *testing.T) {
	s := newTestStore(t)
	for i := range 20 {
		viewer := "viewer-" + strconv.Itoa(i)
		v := viewing(viewer, viewer, "x", 1)
		var group errgroup.Group
		group.Go(func() error { return s.record(t.Context(), []view{v}) })
		group.Go(func() error { return s.clear(t.Context(), viewer, v.ViewedAt) })
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if got := mustList(t, s, ""); len(got) > 0 {
		t.Errorf("views from before are still there: %v", got)
	}
}
