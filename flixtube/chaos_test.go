//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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
)

// A scenario starts a crowd that watches, and does something bad meanwhile. What it has to put right again after
// the check goes into t.Cleanup.
type scenario struct {
	name string
	run  func(*chaos, *testing.T, *crowd)

	breaks bool     // requests may fail, and be tried again, because video-streaming itself dies
	loses  bool     // views may be refused: their video was shown, and they were never accepted
	shows  []string // what the services say in their logs when it really happened
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

// waits are the words of a service that cannot send, and of one that cannot take.
const sendingWaits, takingWaits = "facts wait to be sent", "waiting to consume"

// scenarios are in the order of the quick version, which has some of them together: each time the whole has to
// settle afterwards.
var scenarios = []scenario{
	{name: "a poison message every hundred", run: (*chaos).poison, shows: []string{"a message cannot be handled"}},
	{name: "every message twice", run: (*chaos).everyMessageTwice},
	{name: "two replicas, both killed in turn", run: (*chaos).replicas},
	{name: "services killed in turn", run: (*chaos).killServices, breaks: true, loses: true, shows: []string{"died (signal: killed)"}},
	{name: "services restarted in turn", run: (*chaos).restartServices, breaks: true},
	{
		name: "connections cut, stalled, half closed; confirms lost", when: quickly,
		run:   inTurn((*chaos).cut, (*chaos).stall, (*chaos).halfClose, (*chaos).loseConfirms),
		shows: []string{sendingWaits, takingWaits},
	},
	{name: "connections cut", when: longAlone, run: (*chaos).cut, shows: []string{takingWaits}},
	{name: "connections stalled", when: longAlone, run: (*chaos).stall, shows: []string{takingWaits, sendingWaits}},
	{name: "connections half closed", when: longAlone, run: (*chaos).halfClose, shows: []string{takingWaits, sendingWaits}},
	{name: "confirms lost", when: longAlone, run: (*chaos).loseConfirms, shows: []string{sendingWaits}},
	{name: "database stopped", run: (*chaos).stopDatabase},
	{
		name: "RabbitMQ killed, then stopped", when: quickly,
		run: inTurn((*chaos).killBroker, (*chaos).stopBroker), shows: []string{takingWaits, sendingWaits},
	},
	{name: "RabbitMQ killed", when: longAlone, run: (*chaos).killBroker, shows: []string{takingWaits, sendingWaits}},
	{name: "RabbitMQ stopped", when: longAlone, run: (*chaos).stopBroker, shows: []string{takingWaits, sendingWaits}},
	{name: "disk full for the outbox", run: (*chaos).fillDisk, loses: true, shows: []string{"facts refused"}},
	{name: "all at once", when: longAlone, run: (*chaos).allAtOnce, breaks: true, loses: true},
}

func inTurn(parts ...func(*chaos, *testing.T, *crowd)) func(*chaos, *testing.T, *crowd) {
	return func(c *chaos, t *testing.T, crowd *crowd) {
		for _, part := range parts {
			part(c, t, crowd)
		}
	}
}

// TestChaos lets thousands of views go from many viewers through the real processes, the real RabbitMQ and the
// database, while one after the other of these breaks. After each, every view that was accepted is recorded
// exactly once, in history and in recommendations.
//
// The long version, scripts/chaos, is asked for with CHAOS_MINUTES: the same, for longer and again and again
// in random order. CHAOS_SEED repeats the random choices of an earlier run.
func TestChaos(t *testing.T) {
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
	zerolog.SetGlobalLevel(zerolog.Disabled) // the toxics talk to the standard error
	t.Logf("seed %d", seed)
	toxics.Register("stalled", new(stalled))
	began := time.Now()
	c := startChaos(t, seed, minutes > 0)
	var rows []chaosRow
	defer func() { t.Logf("seed %d\n%s", seed, chaosTable(rows)) }()

	order := slices.Clone(scenarios)
	for {
		for _, s := range order {
			if !strings.Contains(s.name, os.Getenv("CHAOS_ONLY")) || !s.when.in(c.long) {
				continue
			}
			t.Run(s.name, func(t *testing.T) { rows = append(rows, c.play(t, s)) })
			if c.views() > mostViews {
				c.checkAll(t)
				c.forget(t)
			}
			if t.Failed() {
				return // what is wrong now would be found again and again
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
	sys    *system
	broker *chassistest.RabbitMQServer

	// Between the services and the broker and the database: one for video-streaming, which only publishes, one
	// for those who consume.
	publishing, consuming, data *toxiproxy.Proxy

	database *process
	recorded recorded
	crowds   []*crowd // whose views are in the database
	gathered int      // crowds, ever
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
		log: &serviceLog{to: t.Output(), accepted: map[string]bool{}, said: map[string]int{}},
	}
	folder := t.TempDir()
	built := make(chan error, 1) // while RabbitMQ starts
	go func() {
		built <- errors.Join(build(ctx, filepath.Join(folder, "bin"), newOutput(c.log).named("build")),
			goBuild(ctx, filepath.Join(folder, "flixtube")))
	}()
	c.broker = chassistest.RabbitMQ(t)
	if err := <-built; err != nil {
		t.Fatal(err)
	}
	c.startDatabase(t, folder)
	_, address, _ := strings.Cut(c.broker.URL, "@")
	c.publishing, c.consuming = newProxy(t, "publishing", address), newProxy(t, "consuming", address)
	through := func(p *toxiproxy.Proxy) string { return "amqp://guest:guest@" + p.Listen }
	var err error
	c.sys, err = start(ctx, options{
		data: folder,
		getenv: chassistest.Env(map[string]string{
			"RABBIT": through(c.consuming), "DBHOST": "mongodb://" + c.data.Listen,
		}),
		vars: map[string]map[string]string{
			"video-streaming": {"RABBIT": through(c.publishing), "LOG_LEVEL": "debug"},
		},
		absent: []string{"gateway", "video-upload", "metadata"},
		out:    c.log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.sys.stop)
	c.began = time.Now()
	c.recorded = openRecorded(t, c.data.Listen)
	return c
}

// newProxy puts a proxy that can be made to misbehave before an address. Its own is not one of those that
// systems hand out by themselves: it is still free after a while without the proxy.
func newProxy(t *testing.T, name, upstream string) *toxiproxy.Proxy {
	t.Helper()
	ports, err := choosePorts(0)
	if err != nil {
		t.Fatal(err)
	}
	nop := zerolog.Nop()
	proxy := toxiproxy.NewProxy(&toxiproxy.ApiServer{Metrics: toxiproxy.NewMetricsContainer(nil), Logger: &nop},
		name, "127.0.0.1:"+ports["gateway"], upstream)
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Stop)
	return proxy
}

// play runs a scenario and checks what became of its views.
func (c *chaos) play(t *testing.T, s scenario) chaosRow {
	said := c.log.counts()
	began := time.Now()
	crowd := c.gather(t)
	s.run(c, t, crowd)
	crowd.end(t)
	r := c.check(t, s, crowd)
	r.name, r.took = s.name, time.Since(began)
	for _, words := range s.shows {
		if c.log.counts()[words] == said[words] {
			t.Errorf("no service said %q: did it happen?", words)
		}
	}
	return r
}

func (c *chaos) poison(t *testing.T, crowd *crowd) {
	ch := c.channel(t)
	crowd.poison = func(n int) string {
		id := fmt.Sprintf("poison-%s-%d", crowd.name, n)
		body := []string{`{"video":`, `{"id":"` + id + `","video":{}}`, `[]`, "", `{"video":{"id":7}}`}[n%5]
		err := ch.Publish("viewed", "", false, false, amqp.Publishing{MessageId: id, Body: []byte(body), DeliveryMode: amqp.Persistent})
		if err != nil {
			t.Errorf("publish poison: %v", err)
		}
		return id
	}
	crowd.watchFor(t, c.lasts(2*time.Second, 30*time.Second))
}

func (c *chaos) everyMessageTwice(t *testing.T, crowd *crowd) {
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
	within(t, time.Minute, "all of it is repeated", func() error {
		if n, shown := repeated.Load(), len(crowd.shown()); n < int64(shown) {
			return fmt.Errorf("%d of %d", n, shown)
		}
		return nil
	})
	if err := ch.Close(); err != nil { // what it has published arrives before that
		t.Fatal(err)
	}
}

func (c *chaos) replicas(t *testing.T, crowd *crowd) {
	ports, err := choosePorts(0)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"history", "recommendations"} {
		first := c.sys.processes[name]
		second := newProcess(name+" 2", first.path, append(slices.Clip(first.env), "PORT="+ports[name]), c.sys.output.named(name+" 2"), c.sys.say)
		second.start()
		t.Cleanup(second.stop)
		within(t, time.Minute, name+" 2 is ready", func() error { return httpGet("http://127.0.0.1:"+ports[name]+"/readyz", nil) })
		crowd.start()
		for range c.times(1, 3) {
			letPass(c.lasts(700*time.Millisecond, 5*time.Second))
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
func (c *chaos) kill(t *testing.T, p *process) {
	t.Helper()
	within(t, time.Minute, p.name+" runs", func() error {
		if p.pid() == 0 {
			return errors.New("it does not")
		}
		return nil
	})
	p.kill()
}

// killServices kills them in the middle of their work: more views come at a time, and the database takes its time,
// so that there is always something under way.
func (c *chaos) killServices(t *testing.T, crowd *crowd) {
	addToxic(t, c.data, "latency", "downstream", `{"latency":50}`)
	crowd.pace = time.Millisecond
	crowd.start()
	for range c.times(3, 8) {
		for _, name := range []string{"history", "recommendations", "video-streaming"} {
			letPass(300*time.Millisecond + c.random(c.lasts(600*time.Millisecond, 4*time.Second)))
			c.kill(t, c.sys.processes[name])
		}
	}
	letPass(500 * time.Millisecond)
	heal(t, c.data)
}

// restartServices stops them as a new version does: then, nothing is lost that was only just on its way to the disk.
func (c *chaos) restartServices(_ *testing.T, crowd *crowd) {
	crowd.pace = time.Millisecond
	crowd.start()
	for range c.times(1, 8) {
		for _, name := range []string{"history", "recommendations", "video-streaming"} {
			letPass(300*time.Millisecond + c.random(c.lasts(300*time.Millisecond, 2*time.Second)))
			c.sys.processes[name].stop()
			c.sys.processes[name].start()
		}
	}
	letPass(500 * time.Millisecond)
}

func (c *chaos) random(most time.Duration) time.Duration {
	return time.Duration(c.rnd.Int64N(int64(most)))
}

func (c *chaos) cut(t *testing.T, crowd *crowd) {
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
	for _, p := range []*toxiproxy.Proxy{c.publishing, c.consuming} {
		for _, stream := range []string{"upstream", "downstream"} {
			addToxic(t, p, "stalled", stream, "{}")
		}
	}
	letPass(c.lasts(time.Second, 50*time.Second))
	c.stillReady(t) // which takes a few seconds
	heal(t, c.publishing, c.consuming)
	letPass(500 * time.Millisecond)
}

// halfClose ends the way to the broker, which sees a connection closed, while the services see nothing.
func (c *chaos) halfClose(t *testing.T, crowd *crowd) {
	crowd.start()
	letPass(500 * time.Millisecond)
	for range c.times(1, 3) {
		for _, p := range []*toxiproxy.Proxy{c.publishing, c.consuming} {
			addToxic(t, p, "slow_close", "downstream", fmt.Sprintf(`{"delay":%d}`, c.lasts(time.Second, 20*time.Second).Milliseconds()))
			addToxic(t, p, "limit_data", "upstream", `{"bytes":0}`)
		}
		letPass(c.lasts(1500*time.Millisecond, 25*time.Second))
		heal(t, c.publishing, c.consuming)
		letPass(c.lasts(0, 5*time.Second))
	}
}

// loseConfirms lets the broker take messages, and the answers get lost: once each connection has said enough
// to be of use, or at one moment for all.
func (c *chaos) loseConfirms(t *testing.T, crowd *crowd) {
	crowd.start()
	for range c.times(1, 15) {
		letPass(300*time.Millisecond + c.random(500*time.Millisecond))
		addToxic(t, c.publishing, "timeout", "downstream", `{"timeout":300}`)
		letPass(500 * time.Millisecond)
		heal(t, c.publishing)
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
			c.database.kill()
		}
		c.database.stop()
		letPass(c.lasts(500*time.Millisecond, time.Minute))
		c.readiness(t, false, "history", "recommendations")
		c.database.start()
		c.databaseAnswers(t)
	}
	letPass(500 * time.Millisecond)
}

func (c *chaos) killBroker(t *testing.T, crowd *crowd) {
	crowd.start()
	for range c.times(1, 3) {
		letPass(500*time.Millisecond + c.random(c.lasts(500*time.Millisecond, 10*time.Second)))
		c.crashBroker()
		c.stillReady(t)
		c.broker.Start()
	}
	letPass(500 * time.Millisecond)
}

// crashBroker waits until the queues are seven seconds old: RabbitMQ 3.10 notes the leader of a new quorum queue
// every five seconds; killed before, the queue never elects one again.
func (c *chaos) crashBroker() {
	letPass(time.Until(c.began.Add(7 * time.Second)))
	c.broker.Kill()
}

func (c *chaos) stopBroker(t *testing.T, crowd *crowd) {
	crowd.start()
	letPass(500 * time.Millisecond)
	c.broker.Stop()
	letPass(c.lasts(2*time.Second, 2*time.Minute))
	c.stillReady(t)
	c.broker.Start()
	letPass(500 * time.Millisecond)
}

// fillDisk runs video-streaming where no file may grow beyond 128 KiB, which it meets while the broker is away.
func (c *chaos) fillDisk(t *testing.T, crowd *crowd) {
	streaming := c.sys.processes["video-streaming"]
	path, env := streaming.path, streaming.env
	restart := func(path string, env []string) {
		streaming.stop()
		streaming.path, streaming.env = path, env
		streaming.start()
		within(t, time.Minute, "video-streaming is ready", func() error { return httpGet(c.sys.addresses["video-streaming"]+"/readyz", nil) })
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
	letPass(c.lasts(2*time.Second, 20*time.Second))
	c.stillReady(t)
	if err := c.publishing.Start(); err != nil {
		t.Fatal(err)
	}
	within(t, time.Minute, "there is room again", c.outboxEmpty)
	before, err := c.metric("outbox_facts_accepted_total")
	if err != nil {
		t.Fatal(err)
	}
	within(t, time.Minute, "views are accepted again", func() error {
		if now, err := c.metric("outbox_facts_accepted_total"); err != nil || now == before {
			return errors.Join(fmt.Errorf("still %v", now), err)
		}
		return nil
	})
	crowd.end(t)
	within(t, 10*time.Second, "every view is accepted or refused", func() error {
		accepted, err := c.metric("outbox_facts_accepted_total")
		if err != nil {
			return err
		}
		refused, err := c.metric("outbox_facts_refused_total")
		if shown := len(crowd.shown()); accepted+refused != float64(shown) || refused == 0 {
			return fmt.Errorf("of %d shown, %v were accepted and %v refused", shown, accepted, refused)
		}
		return err
	})
}

// allAtOnce breaks whatever chance names.
func (c *chaos) allAtOnce(t *testing.T, crowd *crowd) {
	crowd.start()
	deadline := time.Now().Add(c.lasts(10*time.Second, 2*time.Minute))
	kill := func(name string) func() { return func() { c.kill(t, c.sys.processes[name]) } }
	bad := []func(){
		kill("history"), kill("recommendations"), kill("video-streaming"), kill("video-storage"),
		c.database.kill,
		func() { c.publishing.Stop() },
		func() { c.consuming.Stop() },
		func() { addToxic(t, c.publishing, "limit_data", "downstream", `{"bytes":1500}`) },
		func() { addToxic(t, c.consuming, "stalled", "upstream", "{}") },
		func() { addToxic(t, c.consuming, "timeout", "downstream", `{"timeout":500}`) },
	}
	if c.long {
		bad = append(bad, func() { c.crashBroker(); c.broker.Start() })
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

// stillReady checks that no service calls itself out of order because the broker is: what it has to send or to
// take can wait.
func (c *chaos) stillReady(t *testing.T) {
	t.Helper()
	c.readiness(t, true, "video-streaming", "history", "recommendations")
}

// readiness asks services whether they are ready, which may take a few seconds.
func (c *chaos) readiness(t *testing.T, want bool, names ...string) {
	t.Helper()
	var asked sync.WaitGroup
	for _, name := range names {
		asked.Go(func() {
			if began := time.Now(); c.sys.ready(t.Context(), name) != want {
				t.Errorf("%s is ready: %v, after %v", name, !want, time.Since(began))
			}
		})
	}
	asked.Wait()
}

// startDatabase runs the embedded database as a process of its own, which always answers at the same address.
func (c *chaos) startDatabase(t *testing.T, folder string) {
	t.Helper()
	c.data = newProxy(t, "data", "127.0.0.1:1")
	script := filepath.Join(folder, "database")
	text := fmt.Sprintf("#!/bin/sh\nexec '%s' servers -data '%s'\n", filepath.Join(folder, "flixtube"), filepath.Join(folder, "servers"))
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	out := newOutput(c.log)
	c.log.database = func(address string) {
		c.data.Stop()
		c.data.Upstream = address
		if err := c.data.Start(); err != nil {
			t.Errorf("the database's proxy: %v", err)
		}
	}
	c.database = newProcess("database", script, os.Environ(), out.named("database"), out.named("flixtube").say)
	c.database.start()
	t.Cleanup(c.database.stop)
	c.databaseAnswers(t)
}

func (c *chaos) databaseAnswers(t *testing.T) {
	t.Helper()
	within(t, time.Minute, "the database answers", func() error { return pingDatabase(c.data.Listen) })
}

// channel is a channel to the broker itself, for a test's own messages.
func (c *chaos) channel(t *testing.T) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(c.broker.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // with the broker, perhaps
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// empty is nil if none of the queues holds a message that could be taken.
func (c *chaos) empty(queues ...string) error {
	conn, err := amqp.Dial(c.broker.URL)
	if err != nil {
		return err
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
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

// deadLetters takes the ids of a queue's dead letters away.
func (c *chaos) deadLetters(t *testing.T, queue string) map[string]int {
	t.Helper()
	ch := c.channel(t)
	found := map[string]int{}
	for {
		d, ok, err := ch.Get(messaging.Queue{Name: queue}.Dead().Name, true)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return found
		}
		found[d.MessageId]++
		if !strings.HasPrefix(d.MessageId, "poison-") {
			t.Errorf("dead in %s: %s %v", queue, d.Body, d.Headers)
		}
	}
}

// end looks at everything once more and stops it all. What a consumer held back is in its queue then.
func (c *chaos) end(t *testing.T) {
	c.checkAll(t)
	c.sys.stop()
	names := []string{"viewed"}
	for _, q := range queues {
		if q.Exchange != "" && !strings.HasPrefix(q.Name, "metadata.") {
			names = append(names, q.Name, q.Dead().Name)
		}
	}
	within(t, 20*time.Second, "nothing is left in the queues", func() error { return c.empty(names...) })
}

// peaks is the largest resident set that each service has had, in MB.
func (c *chaos) peaks(t *testing.T) map[string]int {
	t.Helper()
	peaks := map[string]int{}
	for name, p := range c.sys.processes {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid()))
		if err != nil {
			continue // it is not running, or this is not Linux
		}
		_, rest, _ := strings.Cut(string(status), "VmHWM:")
		kB, err := strconv.Atoi(strings.Fields(rest)[0])
		if err != nil {
			t.Fatal(err)
		}
		peaks[name] = kB >> 10
	}
	return peaks
}

// letPass is for time that has to pass, not for something to happen.
func letPass(d time.Duration) { <-time.After(d) }

func within(t *testing.T, limit time.Duration, what string, try func() error) {
	t.Helper()
	if err := chassistest.Poll(limit, try); err != nil {
		t.Fatalf("not so: %s: %v", what, err)
	}
}
