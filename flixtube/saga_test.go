//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/web"
)

// TestSaga runs on RabbitMQ, with the whole system around it.
func TestSaga(t *testing.T) {
	rabbit := chassistest.RabbitMQ(t)
	s, err := start(t.Context(), options{
		data: t.TempDir(), getenv: chassistest.Env(map[string]string{"RABBIT": rabbit.URL}), out: t.Output(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	g := saga{s, "owner-" + uuid.NewString()}
	t.Run("a program of others", func(t *testing.T) { g.foreignProgram(t, rabbit.URL) })
	t.Run("removing while services are killed", g.removalUnderFire)
}

// saga talks to the services as one viewer.
type saga struct {
	*system
	viewer string
}

func (g saga) call(t *testing.T, method, service, target string, body []byte, header ...string) (status int, answer []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, g.addresses[service]+target, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(web.ViewerHeader, g.viewer)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := http.Client{Timeout: 20 * time.Second}
	res, err := client.Do(req)
	if err != nil {
		return 0, []byte(err.Error()) // killed, perhaps
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(res.Body)
	if err != nil {
		return 0, []byte(err.Error())
	}
	return res.StatusCode, answer
}

func (g saga) history(t *testing.T) (videos []string) {
	t.Helper()
	within(t, 2*time.Minute, "history", func() error {
		status, answer := g.call(t, "GET", "history", "/history?limit=500", nil)
		var list struct {
			History []struct {
				VideoID string `json:"videoId"`
			} `json:"history"`
		}
		if err := json.Unmarshal(answer, &list); err != nil || status != http.StatusOK {
			return fmt.Errorf("%d %s", status, answer)
		}
		videos = nil
		for _, v := range list.History {
			videos = append(videos, v.VideoID)
		}
		return nil
	})
	return videos
}

// foreignProgram declares plainly what it uses, gets our messages, and has its own, which lack nearly everything,
// recorded.
func (g saga) foreignProgram(t *testing.T, address string) {
	conn, err := amqp.Dial(address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.ExchangeDeclare("viewed", "fanout", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := ch.QueueDeclare("viewed", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	theirs, err := ch.QueueDeclare("", false, true, true, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.QueueBind(theirs.Name, "", "viewed", false, nil); err != nil {
		t.Fatal(err)
	}
	deliveries, err := ch.Consume(theirs.Name, "", true, true, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}

	video := g.uploaded(t, "Seen by others")
	view := uuid.NewString()
	if status, answer := g.call(t, "GET", "video-streaming", "/video?id="+video+"&view="+view, nil); status != http.StatusOK {
		t.Fatalf("watch: %d %.200s", status, answer)
	}
	select {
	case d := <-deliveries:
		var m struct {
			ID     string
			Viewer struct{ ID string }
			Video  struct{ ID string }
		}
		if err := json.Unmarshal(d.Body, &m); err != nil || m.ID != view || d.MessageId != view || m.Viewer.ID != g.viewer || m.Video.ID != video {
			t.Errorf("they got %s with the message id %s", d.Body, d.MessageId)
		}
	case <-time.After(time.Minute):
		t.Error("they got nothing")
	}

	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	for _, to := range []struct{ exchange, key string }{{"viewed", ""}, {"", "viewed"}} {
		// RabbitMQ refuses what a quorum queue cannot take that has just been made and has no leader yet. What it has
		// confirmed is recorded.
		var name string
		within(t, 2*time.Minute, "their view is confirmed", func() error {
			name = "theirs-" + uuid.NewString()
			confirm, err := ch.PublishWithDeferredConfirm(to.exchange, to.key, false, false,
				amqp.Publishing{Body: []byte(`{"video":{"id":"` + name + `"}}`)})
			if err != nil {
				t.Fatal(err)
			}
			acked, err := confirm.WaitContext(t.Context())
			if err == nil && !acked {
				err = errors.New("it was refused")
			}
			return err
		})
		within(t, 2*time.Minute, "their view", func() error {
			everyone := saga{g.system, ""}
			if videos := everyone.history(t); strings.Count(strings.Join(videos, " "), name) != 1 {
				return fmt.Errorf("history has %d views, not theirs", len(videos))
			}
			return nil
		})
	}
}

// uploaded returns the id of a new video once it is listed.
func (g saga) uploaded(t *testing.T, name string) (id string) {
	t.Helper()
	files, err := fs.Glob(samples, "samples/*.mp4")
	if err != nil {
		t.Fatal(err)
	}
	body, err := samples.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	status, answer := g.call(t, "POST", "video-upload", "/upload", body, "File-Name", url.PathEscape(name))
	var created struct{ Video struct{ ID string } }
	if err := json.Unmarshal(answer, &created); err != nil || status != http.StatusCreated {
		t.Fatalf("upload: %d %s", status, answer)
	}
	within(t, 2*time.Minute, "the upload is listed", func() error {
		if status, answer := g.call(t, "GET", "metadata", "/video?id="+created.Video.ID, nil); status != http.StatusOK {
			return fmt.Errorf("%d %s", status, answer)
		}
		return nil
	})
	return created.Video.ID
}

// removalUnderFire removes videos that were watched; with each removal one of the four services that have a part
// in it is killed, at a moment of the time that a removal takes. None of them knows the videos any more then, and all
// know the one that stays. CHAOS_SEED repeats the moments of an earlier run.
func (g saga) removalUnderFire(t *testing.T) {
	seed := uint64(time.Now().UnixMilli())
	if s := os.Getenv("CHAOS_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("CHAOS_SEED: %v", err)
		}
	}
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 0))
	var gone []string
	for i := range 12 {
		gone = append(gone, g.uploaded(t, fmt.Sprintf("To be removed %d", i)))
	}
	first, stays := g.uploaded(t, "To be removed first"), g.uploaded(t, "To stay")
	for _, id := range append(gone, first, stays) {
		if status, answer := g.call(t, "GET", "video-streaming", "/video?id="+id+"&view="+uuid.NewString(), nil); status != http.StatusOK {
			t.Fatalf("watch: %d %.200s", status, answer)
		}
	}

	within(t, 2*time.Minute, "all is recorded", func() error {
		if n := len(g.history(t)); n < len(gone)+2 {
			return fmt.Errorf("%d views", n)
		}
		_, answer := saga{g.system, "somebody-else"}.call(t, "GET", "recommendations", "/recommendations?limit=50", nil)
		for _, id := range append(gone, first, stays) {
			if !bytes.Contains(answer, []byte(id)) {
				return fmt.Errorf("recommendations lack %s", id)
			}
		}
		return nil
	})
	g.readyAll(t)
	began := time.Now()
	g.remove(t, first)
	within(t, time.Minute, "all four have done their part", func() error { return g.forgotten(t, first) })
	span := time.Since(began)
	targets := []string{"metadata", "video-storage", "history", "recommendations"}
	landed := 0
	for i, id := range gone {
		g.readyAll(t)
		victim := g.processes[targets[i%len(targets)]]
		pid := victim.pid()
		moment := time.Duration(dice.Int64N(int64(span)))
		var killed time.Duration
		struck := make(chan struct{})
		began := time.Now()
		time.AfterFunc(moment, func() {
			victim.kill()
			killed = time.Since(began)
			close(struck)
		})
		g.remove(t, id)
		<-struck
		within(t, time.Minute, victim.name+" was killed", func() error {
			if now := victim.pid(); now == pid {
				return errors.New("it runs as before")
			}
			return nil
		})
		t.Logf("%s killed after %v of %v", victim.name, killed, span)
		if killed <= span {
			landed++
		}
	}
	t.Logf("%d of %d kills were in the time that a removal takes", landed, len(gone))
	if landed < len(gone)/2 {
		t.Error("that is less than half")
	}
	gone = append(gone, first)

	for _, id := range gone {
		for service, target := range map[string]string{"metadata": "/video?id=", "video-storage": "/video?id="} {
			within(t, 2*time.Minute, service+" forgets", func() error {
				if status, answer := g.call(t, "GET", service, target+id, nil); status != http.StatusNotFound {
					return fmt.Errorf("%d %.100s", status, answer)
				}
				return nil
			})
		}
	}
	within(t, 2*time.Minute, "history forgets", func() error {
		seen := strings.Join(g.history(t), " ")
		for _, id := range gone {
			if strings.Contains(seen, id) {
				return fmt.Errorf("it still has %s", id)
			}
		}
		if !strings.Contains(seen, stays) {
			return fmt.Errorf("it lacks %s", stays)
		}
		return nil
	})
	within(t, 2*time.Minute, "recommendations forget", func() error {
		other := saga{g.system, "somebody-else"}
		status, answer := other.call(t, "GET", "recommendations", "/recommendations?limit=50", nil)
		if status != http.StatusOK || !bytes.Contains(answer, []byte(stays)) {
			return fmt.Errorf("%d %s", status, answer)
		}
		for _, id := range gone {
			if bytes.Contains(answer, []byte(id)) {
				return fmt.Errorf("they still have %s", id)
			}
		}
		return nil
	})
}

// readyAll waits until every service is ready.
func (g saga) readyAll(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := g.waitReady(ctx); err != nil {
		t.Fatal(err)
	}
}

func (g saga) remove(t *testing.T, id string) {
	t.Helper()
	within(t, 2*time.Minute, "remove", func() error {
		status, answer := g.call(t, "DELETE", "metadata", "/video?id="+id, nil)
		if status != http.StatusNoContent {
			return fmt.Errorf("%d %s", status, answer)
		}
		return nil
	})
}

// forgotten is nil once storage has deleted the first video that is removed, and the other two have handled the message:
// what recommendations shows may be some seconds old.
func (g saga) forgotten(t *testing.T, id string) error {
	t.Helper()
	if status, answer := g.call(t, "GET", "video-storage", "/video?id="+id, nil); status != http.StatusNotFound {
		return fmt.Errorf("video-storage: %d %.100s", status, answer)
	}
	for _, service := range []string{"history", "recommendations"} {
		n, err := metric(g.addresses[service], `messages_handled_total{queue="`+service+`.video-removed"}`)
		if err != nil {
			return err
		}
		if n == 0 {
			return errors.New(service + " has handled nothing")
		}
	}
	return nil
}
