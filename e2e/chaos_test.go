//go:build unix

package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/toxics"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/rs/zerolog"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/messaging"
	"flixtube/contracts"
	"flixtube/flixtube/launch"
)

// A scenario lets a crowd watch, and breaks something meanwhile. If it repairs that only after the check, it does so in
// t.Cleanup.
type scenario struct {
	name string
	run  func(*chaos, *testing.T, *crowd)

	breaks bool // requests may fail, and be tried again, because video-streaming itself dies
	when   when
}

// when says to which version a scenario belongs.
type when int

const (
	always when = iota
	quickly
	longAlone
)

func (w when) in(long bool) bool { return w == always || long == (w == longAlone) }

// What the services log: one that cannot send, one that cannot consume, one that gets poison, one whose disk is full.
const (
	sendingWaits, consumingWaits = "facts wait to be sent", "not consuming; will retry"
	cannotHandle, factRefused    = "a message cannot be handled", "facts refused"
)

// scenarios are in the order of the quick version, which combines some of them: after each the system has to settle.
// Each checks by itself that the failure really happened.
var scenarios = []scenario{
	{name: "a poison message every hundred", run: (*chaos).poison},
	{name: "every message twice", run: (*chaos).everyMessageTwice},
	{name: "two replicas, both killed in turn", run: (*chaos).replicas},
	{name: "services killed in turn", run: (*chaos).killServices, breaks: true},
	{name: "services restarted in turn", run: (*chaos).restartServices, breaks: true},
	{
		name: "connections cut, stalled, half closed; confirms lost", when: quickly,
		run: inTurn((*chaos).cut, (*chaos).stall, (*chaos).halfClose, (*chaos).loseConfirms),
	},
	{name: "connections cut", when: longAlone, run: (*chaos).cut},
	{name: "connections stalled", when: longAlone, run: (*chaos).stall},
	{name: "connections half closed", when: longAlone, run: (*chaos).halfClose},
	{name: "confirms lost", when: longAlone, run: (*chaos).loseConfirms},
	{name: "database stopped", run: (*chaos).stopDatabase},
	{name: "RabbitMQ killed, then stopped", when: quickly, run: inTurn((*chaos).killBroker, (*chaos).stopBroker)},
	{name: "RabbitMQ killed", when: longAlone, run: (*chaos).killBroker},
	{name: "RabbitMQ stopped", when: longAlone, run: (*chaos).stopBroker},
	{name: "disk full for the outbox", run: (*chaos).fillDisk},
	{name: "all at once", when: longAlone, run: (*chaos).allAtOnce, breaks: true},
}

func inTurn(parts ...func(*chaos, *testing.T, *crowd)) func(*chaos, *testing.T, *crowd) {
	return func(c *chaos, t *testing.T, crowd *crowd) {
		for _, part := range parts {
			part(c, t, crowd)
		}
	}
}

// TestChaos sends thousands of views of many viewers through the real processes, a real RabbitMQ and the database, and
// breaks them one after the other. After each failure, every accepted view is recorded exactly once, in history and in
// recommendations.
//
// CHAOS_MINUTES selects the long version, scripts/chaos: the same failures, each for longer, repeated in random order.
// CHAOS_SEED repeats the random choices of an earlier run.
func TestChaos(t *testing.T) {
	startsOwn(t)
	seed := uint64(1)
	minutes := 0
	if s := os.Getenv("CHAOS_MINUTES"); s != "" {
		var err error
		if minutes, err = strconv.Atoi(s); err != nil {
			t.Fatalf("CHAOS_MINUTES: %v", err)
		}
		seed = uint64(time.Now().UnixMilli())
	}
	if s := os.Getenv("CHAOS_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("CHAOS_SEED: %v", err)
		}
	}
	order := slices.DeleteFunc(slices.Clone(scenarios), func(s scenario) bool {
		return !strings.Contains(s.name, os.Getenv("CHAOS_ONLY")) || !s.when.in(minutes > 0)
	})
	if len(order) == 0 {
		t.Fatalf("no scenario of this version is called %q", os.Getenv("CHAOS_ONLY"))
	}
	zerolog.SetGlobalLevel(zerolog.Disabled) // the toxics talk to the standard error
	t.Logf("seed %d", seed)
	toxics.Register("stalled", new(stalled))
	began := time.Now()
	c := startChaos(t, seed, minutes > 0)
	var rows []chaosRow
	defer func() { t.Logf("seed %d\n%s", seed, chaosTable(rows)) }()

	for {
		for _, s := range order {
			t.Run(s.name, func(t *testing.T) { rows = append(rows, c.play(t, s)) })
			if c.views() > mostViews {
				c.checkAll(t)
				c.forget(t)
			}
			if t.Failed() {
				return // every further check would find the same
			}
			if c.long && time.Since(began) > time.Duration(minutes)*time.Minute {
				c.end(t)
				return
			}
		}
		if !c.long {
			c.end(t)
			return
		}
		c.rnd.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
}

type chaosRow struct {
	name                                                   string
	sent, accepted, recorded, duplicates, lost, dead, peak int
	took                                                   time.Duration
}

func chaosTable(rows []chaosRow) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "sent\taccepted\trecorded\tduplicates\tlost\tdead\tseconds\tpeak MB\t  scenario")
	for _, r := range rows {
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t%d\t%.1f\t%d\t  %s\n",
			r.sent, r.accepted, r.recorded, r.duplicates, r.lost, r.dead, r.took.Seconds(), r.peak, r.name)
	}
	_ = w.Flush() // into a string
	return text.String()
}

// chaos is the running whole, with everything at hand that can be broken.
type chaos struct {
	long   bool
	seed   uint64
	rnd    *rand.Rand // of the scenarios; they run one after the other
	log    *serviceLog
	system *launch.System
	out    *launch.Output
	broker *chassistest.RabbitMQServer

	// Between the services and the broker and the database: one for video-streaming, which only publishes, one
	// for those who consume.
	publishing, consuming, data *toxiproxy.Proxy

	database *launch.Process
	dbhost   string // the address of data, which the proxy itself keeps where others may not read it meanwhile
	recorded recorded
	peaks    map[string]int // the largest resident set that each process had, in MB
	refused  int            // views of this scenario that need not be accepted
	crowds   []*crowd       // whose views are in the database
	gathered int            // crowds, ever
	began    time.Time
}

// lasts is how long something goes on.
func (c *chaos) lasts(quick, long time.Duration) time.Duration {
	if c.long {
		return long
	}
	return quick
}

func startChaos(t *testing.T, seed uint64, long bool) *chaos {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	c := &chaos{
		long: long, seed: seed, rnd: rand.New(rand.NewPCG(seed, 0)),
		log:   &serviceLog{to: t.Output(), refused: map[string]bool{}, said: map[string]int{}},
		peaks: map[string]int{},
	}
	c.out = launch.NewOutput(c.log)
	folder := t.TempDir()
	c.broker = chassistest.RabbitMQ(t)
	c.startDatabase(t, folder)
	_, address, _ := strings.Cut(c.broker.URL, "@")
	c.publishing, c.consuming = newProxy(t, "publishing", address), newProxy(t, "consuming", address)
	through := func(p *toxiproxy.Proxy) string { return "amqp://guest:guest@" + p.Listen }
	var err error
	c.system, err = launch.New(launch.Options{Bin: bin, Data: folder, Output: c.out})
	if err != nil {
		t.Fatal(err)
	}
	c.system.Configure(map[string]string{
		"RABBIT": through(c.consuming), "DBHOST": "mongodb://" + c.dbhost, "VIDEOS_DIR": filepath.Join(folder, "videos"),
	})
	streaming := c.system.Services["video-streaming"]
	streaming.Env = append(streaming.Env, "RABBIT="+through(c.publishing), "LOG_LEVEL=debug")
	t.Cleanup(c.system.Stop)
	c.system.Start("video-streaming", "history", "recommendations", "video-storage")
	if err := c.system.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	c.began = time.Now()
	c.recorded = openRecorded(t, c.dbhost)
	chassistest.Eventually(t, time.Minute, "the queues are there", func() error { return c.empty("history.viewed", "recommendations.viewed", "viewed") })
	return c
}

// newProxy starts a proxy of an address, which can be made to misbehave.
func newProxy(t *testing.T, name, upstream string) *toxiproxy.Proxy {
	t.Helper()
	nop := zerolog.Nop()
	proxy := toxiproxy.NewProxy(&toxiproxy.ApiServer{Metrics: toxiproxy.NewMetricsContainer(nil), Logger: &nop},
		name, "127.0.0.1:"+chassistest.FreePort(t), upstream)
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Stop)
	return proxy
}

// play runs a scenario and checks what became of its views.
func (c *chaos) play(t *testing.T, s scenario) chaosRow {
	began := time.Now()
	c.refused = 0
	clear(c.peaks)
	crowd := c.gather(t)
	s.run(c, t, crowd)
	crowd.end(t)
	r := c.check(t, s, crowd)
	r.name, r.took = s.name, time.Since(began)
	return r
}

// shows returns what waits until some service has said each of the words once more than now, or n times more.
func (c *chaos) shows(t *testing.T, n int, words ...string) (said func()) {
	before := c.log.counts()
	return func() {
		t.Helper()
		for _, w := range words {
			chassistest.Eventually(t, 20*time.Second, "a service says "+w, func() error {
				if times := c.log.counts()[w] - before[w]; times < n {
					return fmt.Errorf("%d of %d times", times, n)
				}
				return nil
			})
		}
	}
}

func (c *chaos) poison(t *testing.T, crowd *crowd) {
	said := c.shows(t, 1, cannotHandle)
	ch := c.channel(t)
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	crowd.poison = func(n int) (id string, sent int) {
		id = fmt.Sprintf("poison-%s-%d", crowd.name, n)
		body := []string{`{"video":`, `{"id":"` + id + `","video":{}}`, `[]`, "", `{"video":{"id":7}}`}[n%5]
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		for sent = 1; ; sent++ {
			confirm, err := ch.PublishWithDeferredConfirm("viewed", "", false, false,
				amqp.Publishing{MessageId: id, Body: []byte(body), DeliveryMode: amqp.Persistent})
			acked := false
			if err == nil {
				acked, err = confirm.WaitContext(ctx)
			}
			if err != nil {
				t.Errorf("publish poison: %v", err)
			}
			if err != nil || acked {
				return id, sent
			}
		}
	}
	crowd.watchFor(t, c.lasts(2*time.Second, 30*time.Second))
	said()
}

// tap returns the messages that are published from now on, until its channel is closed.
func (c *chaos) tap(t *testing.T) (*amqp.Channel, <-chan amqp.Delivery) {
	t.Helper()
	ch := c.channel(t)
	queue, err := ch.QueueDeclare("", false, true, false, false, nil)
	if err == nil {
		err = ch.QueueBind(queue.Name, "", "viewed", false, nil)
	}
	var in <-chan amqp.Delivery
	if err == nil {
		in, err = ch.Consume(queue.Name, "", true, true, false, false, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return ch, in
}

func (c *chaos) everyMessageTwice(t *testing.T, crowd *crowd) {
	ch, in := c.tap(t)
	var repeated atomic.Int64
	go func() {
		for d := range in {
			if d.Headers["again"] != nil {
				continue
			}
			err := ch.Publish("viewed", "", false, false, amqp.Publishing{
				Headers: amqp.Table{"again": "yes"}, MessageId: d.MessageId, Body: d.Body, DeliveryMode: amqp.Persistent,
			})
			if err != nil {
				t.Errorf("publish again: %v", err)
			}
			repeated.Add(1)
		}
	}()
	crowd.watchFor(t, c.lasts(2*time.Second, 30*time.Second))
	chassistest.Eventually(t, time.Minute, "all of it is repeated", func() error {
		if n, shown := repeated.Load(), len(crowd.shown()); n < int64(shown) {
			return fmt.Errorf("%d of %d", n, shown)
		}
		return nil
	})
	if err := ch.Close(); err != nil { // its messages arrive before that
		t.Fatal(err)
	}
}

func (c *chaos) replicas(t *testing.T, crowd *crowd) {
	for _, name := range []string{"history", "recommendations"} {
		first, port := c.system.Services[name].Process, chassistest.FreePort(t)
		address := "http://127.0.0.1:" + port
		second := launch.NewProcess(name+" 2", first.Path, append(slices.Clip(first.Env), "PORT="+port), c.out)
		second.Start()
		t.Cleanup(second.Stop)
		chassistest.Eventually(t, time.Minute, name+" 2 is ready", func() error { _, err := get(address + "/readyz"); return err })
		crowd.start()
		for range c.times(1, 3) {
			letPass(c.lasts(700*time.Millisecond, 5*time.Second))
			chassistest.Eventually(t, time.Minute, name+" 2 takes messages", func() error {
				n, err := metric(address, `messages_handled_total{queue="`+name+`.viewed"}`)
				if err == nil && n == 0 {
					err = errors.New("none")
				}
				return err
			})
			c.kill(t, first)
			letPass(c.lasts(700*time.Millisecond, 5*time.Second))
			c.kill(t, second)
		}
	}
}

func (c *chaos) times(quick, long int) int {
	if c.long {
		return long
	}
	return quick
}

// kill ends a process as kill -9 does, once it runs again after the last time.
func (c *chaos) kill(t *testing.T, p *launch.Process) {
	t.Helper()
	chassistest.Eventually(t, time.Minute, p.Name+" runs", func() error {
		if p.PID() == 0 {
			return errors.New("it does not")
		}
		return nil
	})
	c.notePeak(t, p)
	kill(t, p)
}

// killServices kills them in the middle of their work: more views come at a time, and the database takes its time,
// so that there is always something under way.
func (c *chaos) killServices(t *testing.T, crowd *crowd) {
	defer c.shows(t, 3*c.times(3, 8), "died (signal: killed)")()
	addToxic(t, c.data, "latency", "downstream", `{"latency":50}`)
	crowd.pace = time.Millisecond
	crowd.start()
	for range c.times(3, 8) {
		for _, name := range []string{"history", "recommendations", "video-streaming"} {
			letPass(300*time.Millisecond + c.random(c.lasts(600*time.Millisecond, 4*time.Second)))
			c.kill(t, c.system.Services[name].Process)
		}
	}
	letPass(500 * time.Millisecond)
	heal(t, c.data)
}

// restartServices stops them as a new version does: then, nothing is lost that was only just on its way to the disk.
func (c *chaos) restartServices(t *testing.T, crowd *crowd) {
	crowd.pace = time.Millisecond
	crowd.start()
	for range c.times(1, 8) {
		for _, name := range []string{"history", "recommendations", "video-streaming"} {
			letPass(300*time.Millisecond + c.random(c.lasts(300*time.Millisecond, 2*time.Second)))
			service := c.system.Services[name]
			c.notePeak(t, service.Process)
			service.Stop()
			service.Start()
		}
	}
	letPass(500 * time.Millisecond)
}

func (c *chaos) random(most time.Duration) time.Duration {
	return time.Duration(c.rnd.Int64N(int64(most)))
}

func (c *chaos) cut(t *testing.T, crowd *crowd) {
	defer c.shows(t, 1, consumingWaits)()
	crowd.start()
	for range c.times(3, 30) {
		letPass(200*time.Millisecond + c.random(800*time.Millisecond))
		for _, p := range []*toxiproxy.Proxy{c.publishing, c.consuming} {
			p.Stop()
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// stalled is a toxic that lets nothing through and loses nothing.
type stalled struct{}

func (stalled) Pipe(stub *toxics.ToxicStub) { <-stub.Interrupt }

// stall lets connections be, and nothing through, in neither direction. In the long version they are closed
// for want of heartbeats meanwhile, and so are the new ones.
func (c *chaos) stall(t *testing.T, crowd *crowd) {
	crowd.start()
	letPass(500 * time.Millisecond)
	c.stalls(t, c.consuming, c.taken, "outbox_facts_sent_total")
	c.stalls(t, c.publishing, func() (float64, error) { return c.metric("outbox_facts_sent_total") }, "outbox_facts_accepted_total")
	letPass(c.lasts(0, 50*time.Second))
	c.stillReady(t) // which takes a few seconds
	heal(t, c.publishing, c.consuming)
	letPass(500 * time.Millisecond)
}

// stalls lets nothing through any more, and sees that one number stands still while another one grows.
func (c *chaos) stalls(t *testing.T, p *toxiproxy.Proxy, still func() (float64, error), grows string) {
	t.Helper()
	for _, stream := range []string{"upstream", "downstream"} {
		addToxic(t, p, "stalled", stream, "{}")
	}
	before, since := -1.0, time.Now()
	chassistest.Eventually(t, time.Minute, "the messages that came through are handled", func() error {
		now, err := still()
		if err != nil || now != before {
			before, since = now, time.Now()
			return fmt.Errorf("there are %v now, %w", now, err)
		}
		if quiet := time.Since(since); quiet < time.Second {
			return fmt.Errorf("no more came for %v", quiet)
		}
		return nil
	})
	c.grows(t, grows, 200)
	if now, err := still(); err != nil || now != before {
		t.Errorf("%s is stalled, and yet of %v there are %v, %v", p.Name, before, now, err)
	}
}

// grows waits until a metric of video-streaming is higher than now.
func (c *chaos) grows(t *testing.T, name string, by float64) {
	t.Helper()
	before, err := c.metric(name)
	if err != nil {
		t.Fatal(err)
	}
	chassistest.Eventually(t, time.Minute, name+" grows", func() error {
		now, err := c.metric(name)
		if err == nil && now < before+by {
			err = fmt.Errorf("from %v to %v", before, now)
		}
		return err
	})
}

// taken is how many views history has recorded.
func (c *chaos) taken() (float64, error) {
	n, err := c.recorded.history.EstimatedDocumentCount(context.Background())
	return float64(n), err
}

// halfClose closes one direction of each connection for a while, as a broken firewall may: first the one to the broker,
// which closes its side while the services see nothing; then the one to the services, which disconnect while the broker
// still sends messages to them.
func (c *chaos) halfClose(t *testing.T, crowd *crowd) {
	defer c.shows(t, 2*c.times(1, 3), consumingWaits)()
	crowd.start()
	letPass(500 * time.Millisecond)
	for range c.times(1, 3) {
		for _, side := range []side{theBroker, theServices} {
			relays := []*relay{c.relay(t, c.publishing), c.relay(t, c.consuming)}
			chassistest.Eventually(t, time.Minute, "history, recommendations and video-streaming connect", func() error {
				if out, in := relays[0].connections(), relays[1].connections(); out < 1 || in < 2 {
					return fmt.Errorf("%d publish, %d consume", out, in)
				}
				return nil
			})
			c.grows(t, "outbox_facts_sent_total", 200) // through them
			for _, r := range relays {
				if r.endTowards(side) == 0 {
					t.Error("there was no connection to be half closed")
				}
			}
			letPass(c.lasts(time.Second, 20*time.Second))
			for _, r := range relays {
				r.letEnd()
			}
			c.grows(t, "outbox_facts_sent_total", 200) // by new connections
			for _, r := range relays {
				r.stop(t)
			}
		}
	}
}

// loseConfirms lets the broker take messages, and the answers get lost: once each connection has said enough
// to be of use, or at one moment for all. What was not confirmed comes again.
func (c *chaos) loseConfirms(t *testing.T, crowd *crowd) {
	defer c.shows(t, 1, sendingWaits)()
	_, in := c.tap(t)
	var again atomic.Int64
	go func() {
		seen := map[string]bool{}
		for d := range in {
			if seen[d.MessageId] {
				again.Add(1)
			}
			seen[d.MessageId] = true
		}
	}()
	crowd.start()
	for range c.times(1, 15) {
		letPass(300*time.Millisecond + c.random(500*time.Millisecond))
		before := again.Load()
		addToxic(t, c.publishing, "timeout", "downstream", `{"timeout":300}`)
		letPass(500 * time.Millisecond)
		heal(t, c.publishing)
		chassistest.Eventually(t, 20*time.Second, "messages come twice", func() error {
			if again.Load() == before {
				return errors.New("none")
			}
			return nil
		})
		addToxic(t, c.publishing, "limit_data", "downstream", fmt.Sprintf(`{"bytes":%d}`, 1200+c.rnd.IntN(1000)))
		letPass(time.Second)
		heal(t, c.publishing)
	}
}

func addToxic(t *testing.T, p *toxiproxy.Proxy, toxic, stream, attributes string) {
	t.Helper()
	_, err := p.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(`{"type":%q,"stream":%q,"attributes":%s}`, toxic, stream, attributes)))
	if err != nil {
		t.Fatalf("%s: %v", toxic, err)
	}
}

func heal(t *testing.T, proxies ...*toxiproxy.Proxy) {
	t.Helper()
	healed := make(chan struct{})
	go func() {
		for _, p := range proxies {
			p.Toxics.ResetToxics(context.Background())
		}
		close(healed)
	}()
	select {
	case <-healed:
	case <-time.After(time.Minute):
		t.Fatal("the proxy does not get rid of its toxics")
	}
}

func (c *chaos) stopDatabase(t *testing.T, crowd *crowd) {
	crowd.start()
	for i := range c.times(1, 2) {
		letPass(500 * time.Millisecond)
		if i%2 == 0 {
			kill(t, c.database)
		}
		c.database.Stop()
		letPass(c.lasts(500*time.Millisecond, time.Minute))
		c.readiness(t, http.StatusServiceUnavailable, "history", "recommendations")
		c.database.Start()
		c.databaseAnswers(t)
	}
	letPass(500 * time.Millisecond)
}

func (c *chaos) killBroker(t *testing.T, crowd *crowd) {
	defer c.shows(t, 1, consumingWaits, sendingWaits)()
	crowd.start()
	for range c.times(1, 3) {
		letPass(500*time.Millisecond + c.random(c.lasts(500*time.Millisecond, 10*time.Second)))
		crash(t, c.broker, c.began)
		c.stillReady(t)
		c.broker.Start(t)
	}
	letPass(500 * time.Millisecond)
}

// crash kills RabbitMQ once the queues are seven seconds old: RabbitMQ 3.10 notes the leader of a new quorum queue
// every five seconds; killed before, the queue never elects one again.
func crash(t *testing.T, broker *chassistest.RabbitMQServer, began time.Time) {
	t.Helper()
	letPass(time.Until(began.Add(7 * time.Second)))
	broker.Kill(t)
}

func (c *chaos) stopBroker(t *testing.T, crowd *crowd) {
	defer c.shows(t, 1, consumingWaits, sendingWaits)()
	crowd.start()
	letPass(500 * time.Millisecond)
	c.broker.Stop(t)
	letPass(c.lasts(2*time.Second, 2*time.Minute))
	c.stillReady(t)
	c.broker.Start(t)
	letPass(500 * time.Millisecond)
}

// fillDisk runs video-streaming where no file may grow beyond 128 KiB, which it meets while the broker is away.
func (c *chaos) fillDisk(t *testing.T, crowd *crowd) {
	defer c.shows(t, 1, factRefused)()
	streaming := c.system.Services["video-streaming"]
	path, env := streaming.Path, streaming.Env
	restart := func(path string, env []string) {
		c.notePeak(t, streaming.Process)
		streaming.Stop()
		streaming.Path, streaming.Env = path, env
		streaming.Start()
		chassistest.Eventually(t, time.Minute, "video-streaming is ready", func() error { _, err := get(streaming.Address + "/readyz"); return err })
	}
	small := filepath.Join(t.TempDir(), "video-streaming")
	script := "#!/bin/sh\nulimit -f 256 && exec '" + path + "'\n" // blocks of 512 bytes
	if err := os.WriteFile(small, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	restart(small, append(slices.Clip(env), "OUTBOX_DIR="+t.TempDir()))
	t.Cleanup(func() { restart(path, env) }) // by then that outbox is empty

	crowd.start()
	letPass(500 * time.Millisecond)
	c.publishing.Stop()
	chassistest.Eventually(t, time.Minute, "the disk is full", func() error {
		n, err := c.metric("outbox_facts_refused_total")
		if err == nil && n == 0 {
			err = errors.New("nothing is refused")
		}
		return err
	})
	letPass(c.lasts(0, 20*time.Second))
	c.stillReady(t)
	if err := c.publishing.Start(); err != nil {
		t.Fatal(err)
	}
	chassistest.Eventually(t, time.Minute, "there is room again", func() error {
		waiting, err := c.metric("outbox_facts_waiting")
		if err == nil && waiting > 50 { // the crowd goes on, so that some always wait
			err = fmt.Errorf("%v facts wait", waiting)
		}
		return err
	})
	c.grows(t, "outbox_facts_accepted_total", 1)
	crowd.end(t)
	chassistest.Eventually(t, time.Minute, "the outbox is empty", c.outboxEmpty)
	chassistest.Eventually(t, 10*time.Second, "every view is accepted or refused", func() error {
		accepted, err := c.metric("outbox_facts_accepted_total")
		if err != nil {
			return err
		}
		refused, err := c.metric("outbox_facts_refused_total")
		if shown := len(crowd.shown()); accepted+refused != float64(shown) {
			return fmt.Errorf("of %d shown, %v were accepted and %v refused", shown, accepted, refused)
		}
		c.refused = int(refused)
		return err
	})
}

// allAtOnce breaks whatever chance names.
func (c *chaos) allAtOnce(t *testing.T, crowd *crowd) {
	crowd.start()
	deadline := time.Now().Add(2 * time.Minute)
	killing := func(name string) func() { return func() { c.kill(t, c.system.Services[name].Process) } }
	bad := []func(){
		killing("history"), killing("recommendations"), killing("video-streaming"), killing("video-storage"),
		func() { kill(t, c.database) },
		func() { c.publishing.Stop() },
		func() { c.consuming.Stop() },
		func() { addToxic(t, c.publishing, "limit_data", "downstream", `{"bytes":1500}`) },
		func() { addToxic(t, c.consuming, "stalled", "upstream", "{}") },
		func() { addToxic(t, c.consuming, "timeout", "downstream", `{"timeout":500}`) },
		func() { crash(t, c.broker, c.began); c.broker.Start(t) },
	}
	for time.Now().Before(deadline) {
		for _, i := range c.rnd.Perm(len(bad))[:3] {
			letPass(c.random(300 * time.Millisecond))
			bad[i]()
		}
		letPass(c.random(2 * time.Second))
		heal(t, c.publishing, c.consuming)
		for _, p := range []*toxiproxy.Proxy{c.publishing, c.consuming} {
			if err := p.Start(); err != nil && !errors.Is(err, toxiproxy.ErrProxyAlreadyStarted) {
				t.Fatal(err)
			}
		}
		c.databaseAnswers(t)
		letPass(c.random(time.Second))
	}
}

// stillReady checks that the services are ready without the broker: the messages that they send and consume can wait.
func (c *chaos) stillReady(t *testing.T) {
	t.Helper()
	c.readiness(t, http.StatusOK, "video-streaming", "history", "recommendations")
}

// readiness asks services whether they are ready, which may take a few seconds: an answer that does not come is wrong.
func (c *chaos) readiness(t *testing.T, want int, names ...string) {
	t.Helper()
	var asked sync.WaitGroup
	for _, name := range names {
		asked.Go(func() {
			began := time.Now()
			got := 0
			client := http.Client{Timeout: 4 * time.Second}
			res, err := client.Get(c.system.Services[name].Address + "/readyz")
			if err == nil {
				got = res.StatusCode
				res.Body.Close()
			}
			if got != want {
				t.Errorf("the /readyz of %s answers %d after %v, want %d: %v", name, got, time.Since(began), want, err)
			}
		})
	}
	asked.Wait()
}

// startDatabase runs the embedded database as a process of its own, which always answers at the same address.
func (c *chaos) startDatabase(t *testing.T, folder string) {
	t.Helper()
	c.data = newProxy(t, "data", "127.0.0.1:1")
	c.dbhost = c.data.Listen
	script := filepath.Join(folder, "database")
	text := fmt.Sprintf("#!/bin/sh\nexec '%s' -data '%s'\n", filepath.Join(bin, "servers"), filepath.Join(folder, "servers"))
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	c.log.database = func(address string) {
		c.data.Stop()
		c.data.Upstream = address
		if err := c.data.Start(); err != nil {
			t.Errorf("the database's proxy: %v", err)
		}
	}
	c.database = launch.NewProcess("database", script, os.Environ(), c.out)
	c.database.Start()
	t.Cleanup(c.database.Stop)
	c.databaseAnswers(t)
}

func (c *chaos) databaseAnswers(t *testing.T) {
	t.Helper()
	chassistest.Eventually(t, time.Minute, "the database answers", func() error { return pingDatabase(c.dbhost) })
}

// dial connects to the broker itself, for a test's own messages, and for no longer than limit: a broker that gives no
// answer would be waited for for ever.
func (c *chaos) dial(limit time.Duration) (*amqp.Connection, *amqp.Channel, error) {
	conn, err := amqp.DialConfig(c.broker.URL, amqp.Config{Dial: func(network, address string) (net.Conn, error) {
		socket, err := net.DialTimeout(network, address, limit)
		if err == nil {
			time.AfterFunc(limit, func() { _ = socket.Close() })
		}
		return socket, err
	}})
	if err != nil {
		return nil, nil, err
	}
	ch, err := conn.Channel()
	if err != nil {
		_ = conn.Close()
	}
	return conn, ch, err
}

// channel is open until the end of the test, or a scenario's longest time.
func (c *chaos) channel(t *testing.T) *amqp.Channel {
	t.Helper()
	conn, ch, err := c.dial(15 * time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // with the broker, perhaps
	return ch
}

// empty is nil if none of the queues holds a message that could be taken.
func (c *chaos) empty(queues ...string) error {
	conn, ch, err := c.dial(20 * time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, name := range queues {
		q, err := ch.QueueDeclarePassive(name, true, false, false, false, nil)
		if err != nil {
			return err
		}
		if q.Messages > 0 {
			return fmt.Errorf("%s holds %d messages", name, q.Messages)
		}
	}
	return nil
}

// deadLetters takes a queue's dead letters away and counts them in found by id.
func (c *chaos) deadLetters(queue string, found map[string]int) error {
	conn, ch, err := c.dial(20 * time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	for {
		d, ok, err := ch.Get(messaging.Queue{Name: queue}.Dead().Name, true)
		if err != nil || !ok {
			return err
		}
		found[d.MessageId]++
	}
}

// end looks at everything once more and stops it all. What a consumer held back is in its queue then.
func (c *chaos) end(t *testing.T) {
	c.checkAll(t)
	c.system.Stop()
	names := []string{contracts.ViewedQueue.Name}
	for _, service := range contracts.Viewed.Subscribers {
		q := contracts.Viewed.Queue(service)
		names = append(names, q.Name, q.Dead().Name)
	}
	chassistest.Eventually(t, 20*time.Second, "nothing is left in the queues", func() error { return c.empty(names...) })
}

// notePeak notes the largest resident set that a process has had, before it ends.
func (c *chaos) notePeak(t *testing.T, p *launch.Process) {
	t.Helper()
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	_, rest, running := strings.Cut(string(status), "VmHWM:")
	if !running { // or this is not Linux
		return
	}
	kB, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	c.peaks[p.Name] = max(c.peaks[p.Name], kB>>10)
}

// letPass is for time that has to pass: for how long something is broken. It does not wait for anything to happen.
func letPass(d time.Duration) { <-time.After(d) }
