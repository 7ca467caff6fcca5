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
	"strings"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/messaging"
	"flixtube/chassis/messaging/brokers"
)

func TestDead(t *testing.T) {
	t.Run("jetstream", func(t *testing.T) {
		address, stop, err := startBroker(t.TempDir(), false, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		data := t.TempDir()
		unlock, err := lock(data)
		if err != nil {
			t.Fatal(err)
		}
		defer unlock()
		if err := os.WriteFile(filepath.Join(data, addressFile), []byte(address), 0o600); err != nil {
			t.Fatal(err)
		}
		deadCommands(t, address, func(args ...string) (string, error) {
			var out bytes.Buffer
			err := runDead(t.Context(), append([]string{"-data", data}, args...), chassistest.Env(nil), &out)
			return out.String(), err
		})
	})
	t.Run("rabbitmq", func(t *testing.T) {
		address := chassistest.RabbitMQ(t).URL
		deadCommands(t, address, func(args ...string) (string, error) {
			var out bytes.Buffer
			err := runDead(t.Context(), args, chassistest.Env(map[string]string{"RABBIT": address}), &out)
			return out.String(), err
		})
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
	expect([]string{"history.viewed", "reason: no video.id", `{"evil":"?[2J"}`}, []string{"one"}, "show", "two")
	expect([]string{"1 dead"}, nil, "back", "two")
	expect([]string{"one", "three"}, []string{"two"}, "list")
	expect([]string{"1 dead"}, nil, "drop", "three")
	expect([]string{"1 dead"}, nil, "back", "all")
	expect(nil, all, "list")

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

	for _, args := range [][]string{{}, {"lst"}, {"show"}, {"list", "x"}, {"show", "all"}, {"back", "none"}, {"-x", "list"}} {
		if out, err := dead(args...); err == nil {
			t.Errorf("dead %v: %s", args, out)
		}
	}
	manyLetters(t, broker, dead)
}

// manyLetters puts back what dies again at once: that is not put back again and again.
func manyLetters(t *testing.T, broker messaging.Broker, dead func(...string) (string, error)) {
	t.Helper()
	const many = 1200
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	q := messaging.Queue{Name: "recommendations.viewed", Exchange: "viewed"}
	letters := make([]messaging.Message, many)
	for i := range letters {
		letters[i] = messaging.Message{ID: fmt.Sprintf("letter-%d", i), Body: []byte("?")}
	}
	if err := broker.Publisher(messaging.To(q.Dead())).Publish(ctx, letters); err != nil {
		t.Fatal(err)
	}
	consumed := make(chan error, 1)
	go func() {
		consumed <- messaging.NewConsumers(broker, slog.New(slog.DiscardHandler), messaging.Subscription{
			Queue: q, Handler: messaging.Decoded(
				func(messaging.Message) (any, error) { return nil, errors.New("again") },
				func(context.Context, []any) error { return nil }),
		}).Run(ctx)
	}()
	for _, step := range []struct {
		args []string
		want string
	}{
		{[]string{"list"}, "letter-1199 "},
		{[]string{"show", "letter-1150"}, "id: letter-1150\n"},
		{[]string{"drop", "letter-1199"}, "1 dead letters\n"},
		{[]string{"back", "all"}, "1199 dead letters\n"},
	} {
		out, err := dead(step.args...)
		if err != nil || !strings.Contains(out, step.want) {
			t.Errorf("dead %v: %v, lacks %q:\n%.200s", step.args, err, step.want, out)
		}
	}
	cancel()
	if err := <-consumed; err != nil {
		t.Error(err)
	}
}

// TestDeadWithoutALauncher: one that was killed has left its address behind.
func TestDeadWithoutALauncher(t *testing.T) {
	data := t.TempDir()
	if err := os.WriteFile(filepath.Join(data, addressFile), []byte("nats://127.0.0.1:1"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := runDead(t.Context(), []string{"-data", data, "list"}, noEnv, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "no flixtube runs on "+data) {
		t.Errorf("error %v", err)
	}
}
