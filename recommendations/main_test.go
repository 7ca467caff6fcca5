package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/messaging"
	"flixtube/chassis/messaging/brokers"
	"flixtube/chassis/web"
	"flixtube/contracts"
)

func TestMissingVariables(t *testing.T) {
	err := run(t.Context(), chassistest.Env(nil), io.Discard)
	if err == nil || !strings.Contains(err.Error(), "PORT, RABBIT, DBHOST, DBNAME") {
		t.Errorf("got %v, want an error that names all of PORT, RABBIT, DBHOST, DBNAME", err)
	}
}

// TestService starts recommendations without a metadata service, and sends views: two viewers watch the same video, and
// one of them gets the other's second video recommended.
func TestService(t *testing.T) {
	rabbit := chassistest.JetStream(t)
	address := chassistest.Start(t, run, map[string]string{
		"RABBIT": rabbit, "DBHOST": chassistest.Mongo(t),
		"DBNAME":       "recommendations_" + strings.ToLower(rand.Text()),
		"METADATA_URL": "http://127.0.0.1:1",
	})
	broker, err := brokers.Connect(rabbit)
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	send := func(fact contracts.Fact, messages ...messaging.Message) {
		t.Helper()
		if err := broker.Publisher(fact.Destination()).Publish(t.Context(), messages); err != nil {
			t.Fatal(err)
		}
	}
	view := func(viewer, video string) messaging.Message {
		id := viewer + "-" + video
		return messaging.Message{ID: id, Body: []byte(`{"id":"` + id + `","viewer":{"id":"` + viewer + `"},"video":{"id":"` + video + `"}}`)}
	}
	send(contracts.VideoRemoved, messaging.Message{ID: "gone", Body: []byte(`{"video":{"id":"gone"}}`)})
	send(contracts.Viewed, view("ann", "a"), view("bob", "a"), view("bob", "gone"), view("bob", "b"), view("cid", "c"))

	const want = `{"known":true,"recommendations":[{"videoId":"b","reason":"co-viewed"},{"videoId":"c","reason":"popular"}]}`
	if err := chassistest.Poll(30*time.Second, func() error {
		if got := recommendations(t, address, "ann"); got != want {
			return fmt.Errorf("got %s, want %s", got, want)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// recommendations is the answer of GET /recommendations.
func recommendations(t *testing.T, address, viewer string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/recommendations", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(web.ViewerHeader, viewer)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(body))
}

func TestWrongBroker(t *testing.T) {
	chassistest.RejectsBroker(t, run, map[string]string{"DBHOST": "mongodb://127.0.0.1:1", "DBNAME": "recommendations"})
}
