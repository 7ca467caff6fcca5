package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/messaging"
	"flixtube/chassis/messaging/brokers"
	"flixtube/contracts"
)

func TestDead(t *testing.T) {
	dead := func(env map[string]string, flags ...string) func(...string) (string, error) {
		return func(args ...string) (string, error) {
			var out bytes.Buffer
			err := run(t.Context(), slices.Concat([]string{"dead"}, flags, args), chassistest.Env(env), &out)
			return out.String(), err
		}
	}
	t.Run("jetstream", func(t *testing.T) {
		address := chassistest.JetStream(t)
		s := newTestSite(t, address)
		s.system.Servers.Args = []string{"-broker-port", "1"} // it is the site's own
		deadCommands(t, address, dead(nil, "-data", controlled(t, s)))
	})
	t.Run("rabbitmq", func(t *testing.T) {
		address := chassistest.RabbitMQ(t).URL
		deadCommands(t, address, dead(map[string]string{"RABBIT": address}))
	})
}

// deadCommands has three dead letters in two queues and takes them one after the other.
func deadCommands(t *testing.T, address string, dead func(...string) (string, error)) {
	t.Helper()
	broker, err := brokers.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	history := messaging.Queue{Name: "history.viewed", Exchange: "viewed"}
	letter := func(id string) messaging.Message {
		return messaging.Message{ID: id, Body: []byte("{\"evil\":\"\x1b[2J\"}"), Headers: map[string]string{
			messaging.HeaderReason: "no video.id", messaging.HeaderTries: "5",
		}}
	}
	for q, ids := range map[messaging.Queue][]string{history: {"one", "two"}, {Name: "viewed"}: {"three"}} {
		for _, id := range ids {
			if err := broker.Publisher(messaging.To(q.Dead())).Publish(t.Context(), []messaging.Message{letter(id)}); err != nil {
				t.Fatal(err)
			}
		}
	}

	expect := func(contains, lacks []string, args ...string) {
		t.Helper()
		out, err := dead(args...)
		if err != nil {
			t.Fatalf("dead %v: %v", args, err)
		}
		for _, s := range contains {
			if !strings.Contains(out, s) {
				t.Errorf("dead %v lacks %q:\n%s", args, s, out)
			}
		}
		for _, s := range append(lacks, "\x1b") {
			if strings.Contains(out, s) {
				t.Errorf("dead %v has %q:\n%s", args, s, out)
			}
		}
	}
	all := []string{"one", "two", "three", "history.viewed", "no video.id", "5"}
	expect(all, nil, "list")
	expect(all, nil, "list") // looking takes nothing
	expect([]string{"history.viewed", "reason: no video.id", `{"evil":"\x1b[2J"}`}, []string{"one"}, "show", "two")
	expect([]string{"1 dead letter returned to history.viewed\n"}, []string{"letters"}, "back", "two")
	expect([]string{"one", "three"}, []string{"two"}, "list")
	expect([]string{"1 dead letter dropped from viewed\n"}, nil, "drop", "three")
	expect([]string{"1 dead letter returned to history.viewed\n"}, nil, "back", "all")
	expect(nil, all, "list")
	expect([]string{"no dead letters\n"}, nil, "drop", "all")

	session, err := broker.Open(t.Context(), history, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	for _, want := range []string{"two", "one"} {
		d := <-session.Deliveries()
		if d.ID != want || d.Headers[messaging.HeaderReason] != "" || !strings.Contains(string(d.Body), "evil") {
			t.Errorf("put back: %+v, want %s", d.Message, want)
		}
	}

	for _, args := range [][]string{
		{},
		{"lst"},
		{"show"},
		{"list", "x"},
		{"show", "all"},
		{"back", "none"},
		{"-x", "list"},
		{"drop", ""},
		{"drop", "a", "b"},
		{"drop", "-id", "a", "b"},
		{"drop", "-id", "none"},
		{"list", "-id", "one"},
	} {
		if out, err := dead(args...); err == nil {
			t.Errorf("dead %v: %s", args, out)
		}
	}
	strangeIDs(t, broker, dead)
	manyLetters(t, broker, dead)
}

// strangeIDs has letters in every queue, under ids that other programs may choose.
func strangeIDs(t *testing.T, broker messaging.Broker, dead func(...string) (string, error)) {
	t.Helper()
	long := strings.Repeat("long-", 40)
	publish := func(q messaging.Queue, m messaging.Message) {
		t.Helper()
		if err := broker.Publisher(messaging.To(q.Dead())).Publish(t.Context(), []messaging.Message{m}); err != nil {
			t.Fatal(err)
		}
	}
	for _, q := range contracts.Queues() {
		publish(q, messaging.Message{ID: "in " + q.Name})
	}
	for _, id := range []string{"all", "other", long, "", "evil\u202e\u200b\u3164id"} {
		publish(contracts.ViewedQueue, messaging.Message{ID: id})
	}
	cut := map[string]string{messaging.HeaderCutFrom: "5000000"}
	publish(contracts.ViewedQueue, messaging.Message{ID: "cut", Headers: cut})

	run := func(args ...string) string {
		t.Helper()
		out, err := dead(args...)
		if err != nil {
			t.Errorf("dead %v: %v", args, err)
		}
		return out
	}
	expect := func(out string, want bool, parts ...string) {
		t.Helper()
		for _, part := range parts {
			if strings.Contains(out, part) != want {
				t.Errorf("contains %q: %v, want %v\n%s", part, !want, want, out)
			}
		}
	}
	list := run("list")
	for _, q := range contracts.Queues() {
		expect(list, true, "in "+q.Name+" ")
	}
	expect(list, true, " all ", " - ", " long-long-long-long-long-long-long-long… ", ` evil\u202e\u200b\u3164id `)
	expect(list, false, long, "\u202e", "\u3164")
	expect(run("show", "long-long-long-long-long-long-long-long…"), true, "id: "+long+"\n")
	expect(run("show", `evil\u202e\u200b\u3164id`), true, `id: evil\u202e\u200b\u3164id`)

	if out, err := dead("back", "cut"); err == nil || !strings.Contains(err.Error(), "cut of viewed: only the beginning") || out != "" {
		t.Errorf("back cut: %v\n%s", err, out)
	}
	expect(run("drop", "-id", "all"), true, "1 dead letter dropped from viewed\n")
	list = run("list")
	expect(list, true, " other ", " cut ")
	expect(list, false, " all ")
	expect(run("drop", "-"), true, "1 dead letter dropped from viewed\n")
	expect(run("drop", long), true, "1 dead letter dropped from viewed\n")
	expect(run("drop", "all"), true, "4 dead letters dropped from viewed\n", "1 dead letter dropped from history.viewed\n")
}

// manyLetters has more letters than JetStream delivers to other consumers that acknowledge none, and then some that die
// again as soon as they are put back: they are not put back again and again.
func manyLetters(t *testing.T, broker messaging.Broker, dead func(...string) (string, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	q := messaging.Queue{Name: "recommendations.viewed", Exchange: "viewed"}
	publish := func(count int) {
		t.Helper()
		letters := make([]messaging.Message, count)
		for i := range letters {
			letters[i] = messaging.Message{ID: fmt.Sprintf("letter-%d", i), Body: []byte("?")}
		}
		if err := broker.Publisher(messaging.To(q.Dead())).Publish(ctx, letters); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(want string, args ...string) {
		t.Helper()
		out, err := dead(args...)
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("dead %v: %v, lacks %q:\n%.200s", args, err, want, out)
		}
	}
	publish(2500)
	expect("letter-2499 ", "list")
	expect("id: letter-2450\n", "show", "letter-2450")
	expect("1 dead letter dropped from recommendations.viewed\n", "drop", "letter-2499")
	expect("2499 dead letters dropped from recommendations.viewed\n", "drop", "all")

	publish(300)
	consumed := make(chan error, 1)
	go func() {
		consumed <- messaging.NewConsumers(broker, slog.New(slog.DiscardHandler), messaging.Subscription{
			Queue: q, Handler: messaging.Decoded(
				func(messaging.Message) (any, error) { return nil, errors.New("again") },
				func(context.Context, []any) error { return nil }),
		}).Run(ctx)
	}()
	expect("300 dead letters returned to recommendations.viewed\n", "back", "all")
	cancel()
	if err := <-consumed; err != nil {
		t.Error(err)
	}
}

// TestDeadWithoutALauncher: one that was killed has left its socket behind.
func TestDeadWithoutALauncher(t *testing.T) {
	data := t.TempDir()
	if err := os.WriteFile(filepath.Join(data, controlFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := run(t.Context(), []string{"dead", "-data", data, "list"}, noEnv, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "no flixtube runs on "+data) {
		t.Errorf("error %v", err)
	}
}

// TestDeadOfAnotherBroker: the site's broker was named by a variable that this command was not given.
func TestDeadOfAnotherBroker(t *testing.T) {
	data := controlled(t, newTestSite(t, "amqp://ann:secret@example.com:5672"))
	err := run(t.Context(), []string{"dead", "list", "-data", data}, noEnv, io.Discard)
	if want := "the flixtube on " + data + " uses the broker amqp://ann:xxxxx@example.com:5672; name it in RABBIT, as for the start"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}
