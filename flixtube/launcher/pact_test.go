//go:build pact

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/messaging"
	"flixtube/chassis/messaging/brokers"
	"flixtube/contracts"
	"flixtube/contracts/codes"
	"flixtube/contracts/pacttest"
)

// TestPactConsumer is about the command dead, with each service that makes dead letters, and the command videos, with
// metadata and video-storage.
func TestPactConsumer(t *testing.T) {
	address := chassistest.Servers(t)["RABBIT"] // other tests leave messages behind
	for service, queue := range map[string]messaging.Queue{
		"history":         contracts.Viewed.Queue("history"),
		"recommendations": contracts.Viewed.Queue("recommendations"),
		"metadata":        contracts.VideoUploaded.Queue("metadata"),
		"video-storage":   contracts.VideoRemoved.Queue("video-storage"),
	} {
		consumer := pacttest.NewConsumer(t, "flixtube", service)
		consumesDeadLetters(t, consumer, address, queue)
		switch service {
		case "metadata":
			consumesVideos(t, consumer)
		case "video-storage":
			consumesAnnouncements(t, consumer)
		}
	}
}

func consumesDeadLetters(t *testing.T, consumer *pacttest.Consumer, address string, queue messaging.Queue) {
	t.Helper()
	const id, body = "5d1f0c52-poison", "no JSON"
	broker, err := brokers.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	consumer.DeadLetter(id, body, map[string]pacttest.Matcher{
		messaging.HeaderReason:    pacttest.Matching("no video.id", ".+"),
		messaging.HeaderTries:     pacttest.Matching("1", `^\d+$`),
		messaging.HeaderLastError: pacttest.AnyTime("2026-03-01T10:15:30.123Z"),
	}, func(letter messaging.Message) error {
		if err := broker.Publisher(messaging.To(queue.Dead())).Publish(t.Context(), []messaging.Message{letter}); err != nil {
			return err
		}
		list, err := output(t, "RABBIT", address, "dead", "list")
		row := strings.Join([]string{queue.Name, id, "1", "2026-03-01T10:15:30.123Z", "no video.id"}, " ")
		if err != nil || !strings.Contains(strings.Join(strings.Fields(list), " "), row) {
			return fmt.Errorf("dead list: %s (%w)", list, err)
		}
		if _, err := output(t, "RABBIT", address, "dead", "back", id); err != nil {
			return err
		}
		return received(t.Context(), broker, queue, id, body)
	})
}

// output runs a command of the launcher with one variable.
func output(t *testing.T, name, value string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := run(t.Context(), args, chassistest.Env(map[string]string{name: value}), &out)
	return out.String(), err
}

func received(ctx context.Context, broker messaging.Broker, queue messaging.Queue, id, body string) error {
	session, err := broker.Open(ctx, queue, 1)
	if err != nil {
		return err
	}
	defer session.Close()
	select {
	case d := <-session.Deliveries():
		if d.ID != id || string(d.Body) != body {
			return fmt.Errorf("%s got %s %s back", queue.Name, d.ID, d.Body)
		}
		return session.Ack([]messaging.Delivery{d})
	case <-time.After(20 * time.Second):
		return fmt.Errorf("%s got nothing back", queue.Name)
	}
}

func consumesVideos(t *testing.T, metadata *pacttest.Consumer) {
	t.Helper()
	const id, owner = "3b0a6c1e", "Vb7Q0cJX1m2hN4tYkqZ8sL5rWfPe3aUd"
	stored := pacttest.State{Name: "there is a video", Params: map[string]any{"id": id, "owner": owner}}
	videos := func(base *url.URL, contains string, args ...string) error {
		out, err := output(t, "METADATA_URL", base.String(), append([]string{"videos"}, args...)...)
		if err == nil && !strings.Contains(out, contains) {
			err = fmt.Errorf("videos %v lacks %q: %s", args, contains, out)
		}
		return err
	}
	metadata.Exchange(pacttest.Exchange{
		Description: "all videos, newest first",
		Given:       stored,
		Method:      http.MethodGet, Path: "/videos", Query: url.Values{"sort": {"newest"}, "limit": {"100"}, "skip": {"0"}},
		Numbers: []string{"limit"},
		Status:  http.StatusOK, AnswerHeaders: pacttest.JSON(),
		Answer: map[string]any{"videos": pacttest.Each(map[string]any{
			"_id":        pacttest.AnyString(id),
			"name":       pacttest.AnyString("My holiday"),
			"uploadedAt": pacttest.AnyTime("2026-03-01T09:00:00Z"),
		})},
	}, func(base *url.URL) error { return videos(base, id+"  2026-03-01T09:00:00Z  My holiday", "list") })
	metadata.Exchange(pacttest.Exchange{
		Description: "one video and its owner",
		Given:       stored,
		Method:      http.MethodGet, Path: "/video", Query: url.Values{"id": {id}},
		Status: http.StatusOK, AnswerHeaders: pacttest.JSON(),
		Answer: map[string]any{"video": map[string]any{
			"name": pacttest.AnyString("My holiday"), "owner": pacttest.Exactly(owner),
		}},
	}, func(base *url.URL) error { return videos(base, `"name": "My holiday"`, "show", id) })
	metadata.Exchange(pacttest.Exchange{
		Description: "which of these videos exist",
		Given:       stored,
		Method:      http.MethodGet, Path: "/videos", Query: url.Values{"id": {id, "none"}},
		Status: http.StatusOK, AnswerHeaders: pacttest.JSON(),
		Answer: map[string]any{"videos": []any{map[string]any{"_id": id}}},
	}, func(base *url.URL) error {
		v := videosAt(base)
		known, err := v.known(t.Context(), []storedVideo{{ID: id}, {ID: "none"}})
		if err == nil && (!known[id] || known["none"]) {
			err = fmt.Errorf("known are %v", known)
		}
		return err
	})
	metadata.Exchange(pacttest.Exchange{
		Description: "a video that is not there",
		Given:       pacttest.State{Name: "there are no videos"},
		Method:      http.MethodGet, Path: "/video", Query: url.Values{"id": {"none"}},
		Status: http.StatusNotFound, AnswerHeaders: pacttest.JSON(), Answer: pacttest.Error(codes.VideoNotFound),
	}, func(base *url.URL) error {
		if err := videos(base, "", "show", "none"); err == nil {
			return errors.New("a video that is not there is shown")
		}
		return nil
	})
}

func videosAt(base *url.URL) videos { return videos{base, http.DefaultClient, io.Discard} }

func consumesAnnouncements(t *testing.T, storage *pacttest.Consumer) {
	t.Helper()
	const id = "3b0a6c1e"
	storage.Exchange(pacttest.Exchange{
		Description: "the first of the stored videos, and how they were announced",
		Given:       pacttest.State{Name: "there is an announced video", Params: map[string]any{"id": id}},
		Method:      http.MethodGet, Path: "/videos", Query: url.Values{"limit": {"100"}},
		Status: http.StatusOK, AnswerHeaders: pacttest.JSON(),
		Answer: map[string]any{"videos": pacttest.Each(map[string]any{
			"id":           pacttest.AnyString(id),
			"announcement": map[string]any{"video": map[string]any{"id": pacttest.AnyString(id)}},
		})},
	}, func(base *url.URL) error {
		page, err := videosAt(base).stored(t.Context(), "")
		if err == nil && (len(page) != 1 || page[0].ID != id || !strings.Contains(string(page[0].Announcement), id)) {
			err = fmt.Errorf("stored are %+v", page)
		}
		return err
	})
}
