package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/messaging"
	"flixtube/chassis/messaging/brokers"
	"flixtube/contracts"
)

// TestRebuild has 150 stored videos, of which metadata lists one, and one has no announcement.
func TestRebuild(t *testing.T) {
	var ids []string
	for i := range 150 {
		ids = append(ids, fmt.Sprintf("v%03d", i))
	}
	list := func(w http.ResponseWriter, videos any) {
		_ = json.NewEncoder(w).Encode(map[string]any{"videos": videos})
	}
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page := []map[string]any{}
		for _, id := range ids {
			if id <= r.URL.Query().Get("after") || len(page) == 100 {
				continue
			}
			page = append(page, map[string]any{"id": id, "announcement": map[string]any{"video": map[string]string{"id": id}}})
			if id == "v149" {
				page[len(page)-1]["announcement"] = nil
			}
		}
		list(w, page)
	}))
	defer storage.Close()
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		list(w, []map[string]any{{"_id": "v120"}})
	}))
	defer metadata.Close()
	address := chassistest.JetStream(t)
	broker, err := brokers.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	rebuild := func() (string, error) {
		var out bytes.Buffer
		err := runVideos(t.Context(), call{args: []string{"rebuild"}, stdout: &out, getenv: func(name string) string {
			return map[string]string{"METADATA_URL": metadata.URL, "VIDEO_STORAGE_URL": storage.URL, "RABBIT": address}[name]
		}})
		return out.String(), err
	}
	uploads, removals := contracts.VideoUploaded.Queue("metadata"), contracts.VideoRemoved.Queue("video-storage")
	waiting := func() int {
		t.Helper()
		n, err := broker.Len(t.Context(), uploads)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}

	// A removal that video-storage has not handled is in the way.
	removal := []messaging.Message{{ID: "1", Body: []byte(`{"video":{"id":"v000"}}`)}}
	if err := broker.Publisher(messaging.To(removals)).Publish(t.Context(), removal); err != nil {
		t.Fatal(err)
	}
	if out, err := rebuild(); err == nil || !strings.Contains(err.Error(), "wait in video-storage.video-removed") || waiting() != 0 {
		t.Errorf("with a removal that waits: %v, %s", err, out)
	}
	session, err := broker.Open(t.Context(), removals, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	select {
	case d := <-session.Deliveries():
		if err := session.Ack([]messaging.Delivery{d}); err != nil {
			t.Fatal(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the removal is not delivered")
	}

	var out string
	chassistest.Eventually(t, 20*time.Second, "the removal is handled", func() error {
		out, err = rebuild()
		return err
	})
	for _, want := range []string{"v149 was stored by an older version", "148 of 150 stored videos are announced to metadata again, 1 cannot be"} {
		if !strings.Contains(out, want) {
			t.Errorf("%s\nwant %s", out, want)
		}
	}
	if n := waiting(); n != 148 {
		t.Errorf("%d messages wait for metadata, want 148", n)
	}
}
