package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/messaging"
	"flixtube/chassis/messaging/brokers"
	"flixtube/contracts"
)

func TestMissingVariables(t *testing.T) {
	err := run(t.Context(), chassistest.Env(nil), io.Discard)
	if err == nil || !strings.Contains(err.Error(), "PORT, RABBIT, DBHOST, DBNAME") {
		t.Errorf("got %v, want an error that names all of PORT, RABBIT, DBHOST, DBNAME", err)
	}
}

// TestService starts history, sends it the same view several times on both of its queues, and reads it once.
func TestService(t *testing.T) {
	rabbit := chassistest.JetStream(t)
	address := chassistest.Start(t, run, map[string]string{
		"RABBIT": rabbit, "DBHOST": chassistest.Mongo(t), "DBNAME": "history_" + strings.ToLower(rand.Text()),
	})
	broker, err := brokers.Connect(rabbit)
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()

	everyone := contracts.Viewed.Destination()
	alone := messaging.To(contracts.ViewedQueue)
	removed := contracts.VideoRemoved.Destination()
	view := func(id, video, at string) messaging.Message {
		return messaging.Message{ID: id, Body: []byte(`{"id":"` + id + `","viewedAt":"2026-01-02T03:04:` + at +
			`Z","viewer":{"id":"ann"},"video":{"id":"` + video + `"}}`)}
	}
	for _, sent := range []struct {
		to      messaging.Destination
		message messaging.Message
	}{
		{everyone, view("1", "x", "01")},
		{removed, messaging.Message{ID: "gone", Body: []byte(`{"video":{"id":"y"}}`)}},
		{everyone, view("2", "y", "02")},
		{everyone, view("1", "x", "01")},
		{alone, view("1", "x", "01")},
		{everyone, messaging.Message{ID: "bad", Body: []byte(`{}`)}},
		{everyone, view("1", "x", "01")},
		{everyone, view("last", "z", "03")},
		{alone, view("last alone", "z", "04")},
	} {
		if err := broker.Publisher(sent.to).Publish(t.Context(), []messaging.Message{sent.message}); err != nil {
			t.Fatal(err)
		}
	}

	const want = "last alone,last,1"
	if err := chassistest.Poll(30*time.Second, func() error {
		if got := history(t, address); got != want {
			return fmt.Errorf("history is %q, want %q", got, want)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// history returns the ids that GET /history lists, with commas.
func history(t *testing.T, address string) string {
	t.Helper()
	res, err := http.Get(address + "/history")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct {
		History []struct {
			ID string `json:"_id"`
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("GET /history: %s, %v", res.Status, err)
	}
	var ids []string
	for _, v := range answer.History {
		ids = append(ids, v.ID)
	}
	return strings.Join(ids, ",")
}

func TestWrongBroker(t *testing.T) {
	chassistest.RejectsBroker(t, run, map[string]string{"DBHOST": "mongodb://127.0.0.1:1", "DBNAME": "history"})
}
