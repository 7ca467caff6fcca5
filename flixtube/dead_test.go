package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/messaging"
)

func TestDead(t *testing.T) {
	t.Run("jetstream", func(t *testing.T) {
		address, stop, err := startBroker(t.TempDir(), false, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		data := t.TempDir()
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
	broker, err := messaging.Connect(address)
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
			if err := broker.Publish(t.Context(), messaging.To(q.Dead()), []messaging.Message{letter(id)}); err != nil {
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

	for _, args := range [][]string{{}, {"lst"}, {"show"}, {"list", "x"}, {"back", "none"}, {"-x", "list"}} {
		if out, err := dead(args...); err == nil {
			t.Errorf("dead %v: %s", args, out)
		}
	}
}
