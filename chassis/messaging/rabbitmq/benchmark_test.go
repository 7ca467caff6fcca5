//go:build unix

package rabbitmq_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/database"
	"flixtube/chassis/messaging"
	"flixtube/chassis/messaging/rabbitmq"
)

const (
	pathEvents   = 10_000
	singleEvents = 500
	benchWindow  = 1000 // unconfirmed messages at a time, in the bare loop as in ours
	benchBatch   = 500  // messages in one bulk insert, likewise
	benchLinger  = 5 * time.Millisecond
)

// way is one of those that are compared.
type way struct {
	name   string
	events int
	run    func(*bench, []messaging.Message) error

	rate, cpu []float64 // of each round: events/s, and seconds of this process's CPU per million events
}

// BenchmarkMessages compares, on one RabbitMQ and one database, turn by turn in each round:
//
//   - publish, confirm, consume and store as services do, with a bare amqp091-go loop that has the same
//     guarantees: it must reach 0.8 of the bare loop's events/s;
//   - publishing in windows with publishing one by one: it must be 8 times as fast.
//
// The results are medians over the rounds; use several: -benchtime 9x. Each ratio is of two runs that follow one another, so
// that a machine which gets slower meanwhile does not distort it.
func BenchmarkMessages(b *testing.B) {
	s := newBench(b)
	ours := &way{name: "publish to store, ours", events: pathEvents, run: (*bench).ours}
	bare := &way{name: "publish to store, bare amqp091-go", events: pathEvents, run: (*bench).bare}
	windowed := &way{name: "publish and confirm, windowed", events: pathEvents, run: (*bench).windowed}
	single := &way{name: "publish and confirm, one by one", events: singleEvents, run: (*bench).oneByOne}
	ways := []*way{ours, bare, windowed, single}
	for b.Loop() {
		for _, w := range ways {
			s.measure(b, w)
		}
		ways[0], ways[1] = ways[1], ways[0] // neither always comes first
	}
	b.Logf("medians of %d rounds\n%s", len(ours.rate), benchTable(ours, bare, windowed, single))
	path, window := ours.ratio(bare), windowed.ratio(single)
	b.ReportMetric(path, "×bare")
	b.ReportMetric(window, "×one-by-one")
	if path < 0.8 {
		b.Errorf("ours reaches %.2f of the bare loop's events/s, want 0.8", path)
	}
	if window < 8 {
		b.Errorf("windowed publishing is %.1f times as fast as one by one, want 8", window)
	}
}

func benchTable(ways ...*way) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "events/s\tCPU s per million\t  way")
	for _, way := range ways {
		fmt.Fprintf(w, "%.0f\t%.1f\t  %s\n", median(way.rate), median(way.cpu), way.name)
	}
	_ = w.Flush() // into a string or the log
	return text.String()
}

// ratio is the median, over the rounds, of how many times as fast as other this way is.
func (w *way) ratio(other *way) float64 {
	ratios := make([]float64, len(w.rate))
	for i := range ratios {
		ratios[i] = w.rate[i] / other.rate[i]
	}
	return median(ratios)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// bench is what all ways work on.
type bench struct {
	ctx    context.Context
	rabbit string
	mongo  string
	facts  database.Facts       // in a new database for each run
	broker messaging.Connection // of ours
	conn   [2]*amqp.Connection
}

// event is a message as both ways decode it.
type event struct {
	ID            string
	ViewedAt      time.Time
	Viewer, Video struct{ ID string }
}

func decode(m messaging.Message) (e event, err error) {
	err = json.Unmarshal(m.Body, &e)
	return e, err
}

type document struct {
	ID       string    `bson:"_id"`
	VideoID  string    `bson:"videoId"`
	ViewedAt time.Time `bson:"viewedAt"`
	Viewer   string    `bson:"viewer"`
}

// documents are what both ways store of events.
func documents(events []event) []document {
	all := make([]document, len(events))
	for i, e := range events {
		all[i] = document{e.ID, e.Video.ID, e.ViewedAt, e.Viewer.ID}
	}
	return all
}

func newBench(b *testing.B) *bench {
	b.Helper()
	s := &bench{ctx: b.Context(), rabbit: chassistest.RabbitMQ(b).URL, mongo: chassistest.Mongo(b)}
	var err error
	s.broker = rabbitmq.Connect(s.rabbit)
	b.Cleanup(func() { s.broker.Close() })
	for i := range s.conn { // one to publish and one to consume, as ours has
		if s.conn[i], err = amqp.Dial(s.rabbit); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { s.conn[i].Close() })
	}
	for _, q := range []string{"ours", "bare", "single"} { // declared alike, and before the clock runs
		session, err := s.broker.Open(s.ctx, messaging.Queue{Name: q + ".viewed", Exchange: q}, 1)
		if err != nil {
			b.Fatal(err)
		}
		if err := session.Close(); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

func (s *bench) measure(b *testing.B, w *way) {
	b.Helper()
	db, err := database.Connect(s.mongo, "bench_"+strings.ToLower(rand.Text()))
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = db.Drop(context.WithoutCancel(s.ctx))
		db.Close()
	}()
	s.facts = database.Facts{Documents: db.Collection("events"), Removed: db.Collection("removed"), Subject: "videoId"}
	if err := database.Ready(s.ctx, s.facts.Documents); err != nil {
		b.Fatal(err)
	}
	msgs := make([]messaging.Message, w.events)
	for i := range msgs {
		id := rand.Text()
		body := fmt.Sprintf(`{"id":"%s","viewedAt":"2026-01-02T03:04:05.678Z","viewer":{"id":"viewer-%d"},"video":{"id":"video-%d"}}`, id, i%500, i%100)
		msgs[i] = messaging.Message{ID: id, Body: []byte(body)}
	}
	cpu, began := cpuTime(b), time.Now()
	err = w.run(s, msgs)
	took, used := time.Since(began), cpuTime(b)-cpu
	if err != nil {
		b.Fatalf("%s: %v", w.name, err)
	}
	w.rate = append(w.rate, float64(w.events)/took.Seconds())
	w.cpu = append(w.cpu, used.Seconds()/float64(w.events)*1e6)
}

// cpuTime is what this process, without the broker and the database, has used so far.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (s *bench) ours(msgs []messaging.Message) error {
	ctx, cancel := context.WithTimeout(s.ctx, time.Minute)
	defer cancel()
	left, done := len(msgs), make(chan struct{}) // one batch is recorded after the other
	record := func(ctx context.Context, events []event) error {
		subjects := make([]string, len(events))
		for i, e := range events {
			subjects[i] = e.Video.ID
		}
		if err := s.facts.Insert(ctx, documents(events), subjects); err != nil {
			return err
		}
		if left -= len(events); left == 0 {
			close(done)
		}
		return nil
	}
	consumed := make(chan error, 1)
	go func() {
		consumed <- messaging.NewConsumers(s.broker, slog.New(slog.DiscardHandler), messaging.Subscription{
			Queue: messaging.Queue{Name: "ours.viewed", Exchange: "ours"}, Handler: messaging.Decoded(decode, record),
		}).Run(ctx)
	}()
	if err := s.broker.Publisher(messaging.Fanout("ours", "ours.viewed")).Publish(ctx, msgs); err != nil {
		return err
	}
	select {
	case <-done:
	case <-ctx.Done():
		return fmt.Errorf("not all events are recorded: %w", ctx.Err())
	}
	cancel()
	return <-consumed
}

// bare is what a program without the chassis would do: durable, confirmed, acknowledged after the bulk insert.
func (s *bench) bare(msgs []messaging.Message) error {
	ctx, cancel := context.WithTimeout(s.ctx, time.Minute)
	defer cancel()
	out, err := s.conn[0].Channel()
	if err != nil {
		return err
	}
	defer out.Close()
	if err := out.Confirm(false); err != nil {
		return err
	}
	in, err := s.conn[1].Channel()
	if err != nil {
		return err
	}
	defer in.Close()
	if err := in.Qos(2*benchBatch, 0, false); err != nil {
		return err
	}
	deliveries, err := in.Consume("bare.viewed", "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	consumed := make(chan error, 1)
	go func() { consumed <- s.bareConsume(ctx, in, deliveries, len(msgs)) }()
	for part := range slices.Chunk(msgs, benchWindow) {
		confirms := make([]*amqp.DeferredConfirmation, len(part))
		for i, m := range part {
			confirms[i], err = out.PublishWithDeferredConfirmWithContext(ctx, "bare", "", true, false, amqp.Publishing{
				MessageId: m.ID, Body: m.Body, ContentType: "application/json", DeliveryMode: amqp.Persistent, Timestamp: time.Now(),
			})
			if err != nil {
				return err
			}
		}
		for _, c := range confirms {
			if ok, err := c.WaitContext(ctx); err != nil || !ok {
				return errors.Join(errors.New("not confirmed"), err)
			}
		}
	}
	return <-consumed
}

func (s *bench) bareConsume(ctx context.Context, in *amqp.Channel, deliveries <-chan amqp.Delivery, n int) error {
	for n > 0 {
		var last uint64
		var events []event
		take := func(d amqp.Delivery) error {
			e, err := decode(messaging.Message{Body: d.Body})
			events, last = append(events, e), d.DeliveryTag
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case d := <-deliveries:
			if err := take(d); err != nil {
				return err
			}
		}
		for enough := time.After(benchLinger); len(events) < benchBatch && enough != nil; {
			select {
			case d := <-deliveries:
				if err := take(d); err != nil {
					return err
				}
			case <-enough:
				enough = nil
			}
		}
		if _, err := s.facts.Documents.InsertMany(ctx, documents(events), options.InsertMany().SetOrdered(false)); err != nil {
			return err
		}
		if err := in.Ack(last, true); err != nil {
			return err
		}
		n -= len(events)
	}
	return nil
}

func (s *bench) windowed(msgs []messaging.Message) error {
	defer s.purge()
	return s.broker.Publisher(messaging.Fanout("single", "single.viewed")).Publish(s.ctx, msgs)
}

func (s *bench) oneByOne(msgs []messaging.Message) error {
	publisher := s.broker.Publisher(messaging.Fanout("single", "single.viewed"))
	defer s.purge()
	for i := range msgs {
		if err := publisher.Publish(s.ctx, msgs[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (s *bench) purge() {
	if ch, err := s.conn[0].Channel(); err == nil {
		_, _ = ch.QueuePurge("single.viewed", false) // else the queue is longer in the next round
		_ = ch.Close()
	}
}
