//go:build unix

package e2e

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	mongooptions "go.mongodb.org/mongo-driver/v2/mongo/options"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/database"
)

// serviceLog reads what the services log. A view that is refused has its line before its viewer sees the answer, and the
// line reaches the test even if the service is killed right after.
type serviceLog struct {
	to       io.Writer
	database func(address string) // told where the database listens

	mu      sync.Mutex
	refused map[string]bool // views
	said    map[string]int  // how often, of what the scenarios want to hear
}

func (l *serviceLog) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte(`msg="view accepted"`)) { // there are thousands
		return len(line), nil
	}
	if _, rest, ok := bytes.Cut(line, []byte(`msg="view refused" id=`)); ok {
		id, _, _ := bytes.Cut(bytes.TrimSpace(rest), []byte(" "))
		l.mu.Lock()
		defer l.mu.Unlock()
		l.refused[string(id)] = true
		return len(line), nil
	}
	if _, address, ok := strings.Cut(string(line), "DBHOST=mongodb://"); ok {
		l.database(strings.TrimSpace(address))
	}
	l.mu.Lock()
	for _, words := range []string{sendingWaits, consumingWaits, cannotHandle, factRefused, "died (signal: killed)"} {
		if bytes.Contains(line, []byte(words)) {
			l.said[words]++
		}
	}
	l.mu.Unlock()
	return l.to.Write(line)
}

func (l *serviceLog) counts() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.said)
}

func (l *serviceLog) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.refused)
}

// acceptedOf returns those of the viewings that were not refused.
func (l *serviceLog) acceptedOf(viewings map[string]viewing) map[string]viewing {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := maps.Clone(viewings)
	maps.DeleteFunc(found, func(id string, _ viewing) bool { return l.refused[id] })
	return found
}

// recorded is what the consumers have written.
type recorded struct {
	db             []database.Database
	history, views *mongo.Collection
}

func openRecorded(t *testing.T, address string) recorded {
	t.Helper()
	var r recorded
	for _, name := range []string{"history", "recommendations"} {
		db, err := database.Connect("mongodb://"+address, name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		r.db = append(r.db, db)
	}
	r.history, r.views = r.db[0].Collection("history").Collection, r.db[1].Collection("views").Collection
	return r
}

func pingDatabase(address string) error {
	db, err := database.Connect("mongodb://"+address, "ping")
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return db.Ping(ctx)
}

// pair is what history and recommendations agree about.
type pair struct{ viewer, video string }

type document struct {
	ID      string `bson:"_id"`
	Viewer  string `bson:"viewer"`
	VideoID string `bson:"videoId"`
}

// read returns the documents of both collections.
func (r recorded) read(ctx context.Context) (history, views []document, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if history, err = documents(ctx, r.history); err == nil {
		views, err = documents(ctx, r.views)
	}
	return history, views, err
}

func documents(ctx context.Context, collection *mongo.Collection) (all []document, err error) {
	found, err := collection.Find(ctx, bson.D{}, mongooptions.Find().
		SetProjection(bson.D{{Key: "viewer", Value: 1}, {Key: "videoId", Value: 1}}))
	if err == nil {
		err = found.All(ctx, &all)
	}
	return all, err
}

// tally compares the recorded views with the accepted ones. It counts views that are missing or recorded twice; a view
// that nobody watched is an error.
func (c *crowd) tally(accepted map[string]viewing, history, views []document) (chaosRow, map[pair]bool, error) {
	others := func(d document) bool { return !strings.HasPrefix(d.Viewer, c.name+"-") }
	history, views = slices.DeleteFunc(slices.Clone(history), others), slices.DeleteFunc(slices.Clone(views), others)
	known, viewed, recommended := map[string]bool{}, map[pair]bool{}, map[pair]bool{}
	var errs []error
	for _, d := range history {
		if v, ok := c.asked[d.ID]; !ok || v != (viewing{d.ID, d.Viewer, d.VideoID}) {
			errs = append(errs, fmt.Errorf("history has what nobody watched: %v", d))
		}
		known[d.ID] = true
		viewed[pair{d.Viewer, d.VideoID}] = true
	}
	for _, d := range views {
		recommended[pair{d.Viewer, d.VideoID}] = true
	}
	r := chaosRow{
		sent: len(c.watched), accepted: len(accepted), recorded: len(history),
		duplicates: len(history) - len(viewed) + len(views) - len(recommended),
	}
	for id, v := range accepted {
		if !known[id] || !recommended[pair{v.viewer, v.video}] {
			r.lost++
		}
	}
	if !maps.Equal(viewed, recommended) {
		errs = append(errs, fmt.Errorf("history has %d views, recommendations %d, and not the same", len(viewed), len(recommended)))
	}
	return r, viewed, errors.Join(errs...)
}

// check waits until everything has settled, and compares the accepted views with the recorded ones.
func (c *chaos) check(t *testing.T, s scenario, crowd *crowd) chaosRow {
	t.Helper()
	settle := c.lasts(time.Minute, 5*time.Minute)
	chassistest.Eventually(t, settle, "the outbox is sent", c.outboxEmpty)
	chassistest.Eventually(t, settle, "the queues are taken", func() error {
		return c.empty("history.viewed", "recommendations.viewed", "viewed")
	})
	accepted := c.log.acceptedOf(crowd.shown())
	if refused := len(crowd.shown()) - len(accepted); refused > c.refused {
		t.Errorf("%d views were refused, and %d may be", refused, c.refused)
	}
	if crowd.failed > 0 && !s.breaks {
		t.Errorf("%d requests failed, as in: %v", crowd.failed, crowd.failure)
	}
	var r chaosRow
	var viewed map[pair]bool
	err := chassistest.Poll(settle, func() error {
		history, views, err := c.recorded.read(t.Context())
		if err != nil {
			return err
		}
		r, viewed, err = crowd.tally(accepted, history, views)
		if err == nil && r.lost > 0 {
			err = fmt.Errorf("%d views are lost", r.lost)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if r.duplicates > 0 {
		t.Errorf("%d views are there twice", r.duplicates)
	}
	if r.accepted == 0 {
		t.Error("no view was accepted at all")
	}
	c.checkDead(t, crowd, &r)
	c.checkCoViews(t, viewed)
	for _, service := range c.system.Services {
		c.notePeak(t, service.Process)
	}
	for name, peak := range c.peaks {
		r.peak = max(r.peak, peak)
		if peak > mostMemory {
			t.Errorf("%s took %d MB", name, peak)
		}
	}
	return r
}

// mostMemory bounds what a service takes, in MB, however much waits for it.
const mostMemory = 100

// mostViews is how many views are kept to be looked at again.
const mostViews = 30_000

func (c *chaos) views() int {
	all := 0
	for _, crowd := range c.crowds {
		all += len(crowd.watched)
	}
	return all
}

// checkAll looks at everything once more, for what came later.
func (c *chaos) checkAll(t *testing.T) {
	t.Helper()
	history, views, err := c.recorded.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := 0
	for _, crowd := range c.crowds {
		r, _, err := crowd.tally(c.log.acceptedOf(crowd.shown()), history, views)
		if err != nil || r.lost > 0 || r.duplicates > 0 {
			t.Errorf("later, of %s: %d lost, %d twice, %v", crowd.name, r.lost, r.duplicates, err)
		}
		all += r.recorded
	}
	if all != len(history) || all != len(views) {
		t.Errorf("of %d views in history and %d in recommendations, %d are somebody's who watched", len(history), len(views), all)
	}
}

// forget empties the database, so that a long run does not become slower and slower. It goes by the last digit
// of the viewers, because FerretDB 1.24 fails to delete more than 32766 documents at a time.
func (c *chaos) forget(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for _, collection := range []*mongo.Collection{c.recorded.history, c.recorded.views} {
		for digit := range 10 {
			some := bson.D{{Key: "viewer", Value: bson.D{{Key: "$regex", Value: fmt.Sprintf("%d$", digit)}}}}
			if _, err := collection.DeleteMany(ctx, some); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.crowds = nil
	c.log.forget()
}

// checkDead wants nothing but the poison among the dead letters.
func (c *chaos) checkDead(t *testing.T, crowd *crowd, r *chaosRow) {
	t.Helper()
	for _, queue := range []string{"history.viewed", "recommendations.viewed"} {
		dead := map[string]int{}
		chassistest.Eventually(t, time.Minute, "the poison is dead in "+queue, func() error {
			if err := c.deadLetters(queue, dead); err != nil {
				return err
			}
			if len(dead) < len(crowd.poisoned) {
				return fmt.Errorf("%d of %d", len(dead), len(crowd.poisoned))
			}
			return nil
		})
		for id, n := range dead {
			if n > crowd.poisoned[id] {
				t.Errorf("%s is dead in %s %d times, and was sent %d times", id, queue, n, crowd.poisoned[id])
			}
		}
		r.dead = max(r.dead, len(dead))
	}
}

// checkCoViews compares the recommendations of some viewers with those that it computes itself.
func (c *chaos) checkCoViews(t *testing.T, viewed map[pair]bool) {
	t.Helper()
	videos := map[string][]string{} // by viewer
	for p := range viewed {
		videos[p.viewer] = append(videos[p.viewer], p.video)
	}
	viewers := slices.Sorted(maps.Keys(videos))
	for range min(3, len(viewers)) {
		viewer := viewers[c.rnd.IntN(len(viewers))]
		want := coViewed(videos, viewer)
		found, err := recommendations(c.system, viewer)
		if err != nil {
			t.Error(err)
			continue
		}
		var got []string
		for _, r := range found {
			if r.Reason == "co-viewed" {
				got = append(got, r.VideoID)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("to %s are recommended %v, want %v", viewer, got, want)
		}
	}
}

// coViewed ranks what others watched who share a video with viewer: by their number, then by how many videos
// they share.
func coViewed(videos map[string][]string, viewer string) []string {
	type score struct{ viewers, shared int }
	scores := map[string]score{}
	own := videos[viewer]
	for other, watched := range videos {
		shared := 0
		for _, v := range watched {
			if slices.Contains(own, v) {
				shared++
			}
		}
		if other == viewer || shared == 0 {
			continue
		}
		for _, v := range watched {
			if !slices.Contains(own, v) {
				scores[v] = score{scores[v].viewers + 1, scores[v].shared + shared}
			}
		}
	}
	return slices.SortedFunc(maps.Keys(scores), func(a, b string) int {
		return cmp.Or(cmp.Compare(scores[b].viewers, scores[a].viewers), cmp.Compare(scores[b].shared, scores[a].shared), cmp.Compare(a, b))
	})
}

// metric reads one of video-streaming's metrics.
func (c *chaos) metric(name string) (float64, error) {
	return metric(c.system.Services["video-streaming"].Address, name)
}

// metric reads one of a service's metrics. One with labels that was never counted is not there, and 0.
func metric(address, name string) (float64, error) {
	text, err := get(address + "/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if found, value, _ := strings.Cut(strings.TrimSpace(line), " "); found == name {
			return strconv.ParseFloat(value, 64)
		}
	}
	if strings.Contains(name, "{") {
		return 0, nil
	}
	return 0, fmt.Errorf("there is no metric %s", name)
}

func (c *chaos) outboxEmpty() error {
	waiting, err := c.metric("outbox_facts_waiting")
	if err == nil && waiting > 0 {
		err = fmt.Errorf("%v facts wait", waiting)
	}
	return err
}
