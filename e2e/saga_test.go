//go:build unix

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
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
	"flixtube/contracts"
	"flixtube/flixtube/launch"
)

// caller talks to the services behind the gateway as one viewer.
type caller struct {
	system *launch.System
	viewer string
}

func newCaller(s *site) caller { return caller{s.system, "viewer-" + uuid.NewString()} }

// call sends a request, and returns the error of one that is cut off, which happens to killed services, as its body.
func (c caller) call(t *testing.T, method, service, target string, body []byte, headers ...string) (status int, answer []byte) {
	t.Helper()
	client := http.Client{Timeout: 20 * time.Second}
	r, err := call(t.Context(), &client, method, c.system.Services[service].Address+target, bytes.NewReader(body),
		append(headers, web.ViewerHeader, c.viewer)...)
	if err != nil {
		return 0, []byte(err.Error())
	}
	return r.status, r.body
}

func (c caller) history(t *testing.T) (videos []string) {
	t.Helper()
	chassistest.Eventually(t, 2*time.Minute, "history", func() error {
		status, answer := c.call(t, "GET", "history", "/history?limit=500", nil)
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

// TestForeignProgram: another program declares the exchange and the queue without our options. It gets our messages, and
// its own messages, which lack nearly all fields, are recorded.
func TestForeignProgram(t *testing.T) {
	s := withRabbit(t)
	g := newCaller(s)
	conn, err := amqp.Dial(s.rabbit.URL)
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
		chassistest.Eventually(t, 2*time.Minute, "their view is confirmed", func() error {
			name = "theirs-" + uuid.NewString()
			confirm, err := ch.PublishWithDeferredConfirm(to.exchange, to.key, false, false,
				amqp.Publishing{Body: []byte(`{"video":{"id":"` + name + `"}}`)})
			if err != nil {
				t.Fatal(err)
			}
			acked, err := confirm.WaitContext(t.Context())
			if err == nil && !acked {
				err = errors.New("the broker refused it")
			}
			return err
		})
		chassistest.Eventually(t, 2*time.Minute, "their view", func() error {
			everyone := caller{s.system, ""}
			if videos := everyone.history(t); strings.Count(strings.Join(videos, " "), name) != 1 {
				return fmt.Errorf("history has %d views, not theirs", len(videos))
			}
			return nil
		})
	}
}

// uploaded returns the id of a new video once it is listed.
func (c caller) uploaded(t *testing.T, name string) (id string) {
	t.Helper()
	status, answer := c.call(t, "POST", "video-upload", "/upload", sample(t), "File-Name", url.PathEscape(name))
	var created struct{ Video struct{ ID string } }
	if err := json.Unmarshal(answer, &created); err != nil || status != http.StatusCreated {
		t.Fatalf("upload: %d %s", status, answer)
	}
	chassistest.Eventually(t, 2*time.Minute, "the upload is listed", func() error {
		if status, answer := c.call(t, "GET", "metadata", "/video?id="+created.Video.ID, nil); status != http.StatusOK {
			return fmt.Errorf("%d %s", status, answer)
		}
		return nil
	})
	return created.Video.ID
}

// TestRemovalWhileServicesAreKilled removes videos that were watched; with each removal one of the four services that take
// part in it is killed, at a moment of the time that a removal takes. In the end none of them knows the videos, and all
// know the one that stays. CHAOS_SEED repeats the moments of an earlier run.
func TestRemovalWhileServicesAreKilled(t *testing.T) {
	s := withRabbit(t)
	g, other := newCaller(s), newCaller(s)
	seed := uint64(time.Now().UnixMilli())
	if text := os.Getenv("CHAOS_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("CHAOS_SEED: %v", err)
		}
	}
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 0))
	var gone []string
	for i := range 12 {
		gone = append(gone, g.uploaded(t, fmt.Sprintf("To be removed %d", i)))
	}
	first, stays, both := g.uploaded(t, "To be removed first"), g.uploaded(t, "To stay"), g.uploaded(t, "Watched by both")
	for _, id := range append(gone, first, stays, both) {
		g.watch(t, id)
	}
	other.watch(t, both) // so that the videos are recommended to the other viewer before any of other tests

	chassistest.Eventually(t, timeout, "all is recorded", func() error {
		if n := len(g.history(t)); n < len(gone)+3 {
			return fmt.Errorf("%d views", n)
		}
		_, answer := other.call(t, "GET", "recommendations", "/recommendations?limit=50", nil)
		for _, id := range append(gone, first, stays) {
			if !bytes.Contains(answer, []byte(id)) {
				return fmt.Errorf("recommendations lack %s", id)
			}
		}
		return nil
	})
	s.waitReady(t)
	handled := s.removalsHandled(t)
	began := time.Now()
	g.remove(t, first)
	chassistest.Eventually(t, timeout, "all four have done their part", func() error {
		// Recommendations are some seconds old.
		if status, answer := g.call(t, "GET", "video-storage", "/video?id="+first, nil); status != http.StatusNotFound {
			return fmt.Errorf("video-storage: %d %.100s", status, answer)
		}
		for service, n := range s.removalsHandled(t) {
			if n <= handled[service] {
				return fmt.Errorf("%s has handled %v removals", service, n)
			}
		}
		return nil
	})
	span := time.Since(began)
	targets := []string{"metadata", "video-storage", "history", "recommendations"}
	landed := 0
	for i, id := range gone {
		s.waitReady(t)
		victim := s.system.Services[targets[i%len(targets)]].Process
		pid := victim.PID()
		moment := time.Duration(dice.Int64N(int64(span)))
		var killed time.Duration
		struck := make(chan struct{})
		began := time.Now()
		time.AfterFunc(moment, func() {
			kill(t, victim)
			killed = time.Since(began)
			close(struck)
		})
		g.remove(t, id)
		<-struck
		chassistest.Eventually(t, timeout, victim.Name+" was killed", func() error {
			if now := victim.PID(); now == pid {
				return errors.New("it runs as before")
			}
			return nil
		})
		t.Logf("%s killed after %v of %v", victim.Name, killed, span)
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
		for _, service := range []string{"metadata", "video-storage"} {
			chassistest.Eventually(t, timeout, service+" forgets", func() error {
				if status, answer := g.call(t, "GET", service, "/video?id="+id, nil); status != http.StatusNotFound {
					return fmt.Errorf("%d %.100s", status, answer)
				}
				return nil
			})
		}
	}
	chassistest.Eventually(t, timeout, "history forgets", func() error {
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
	chassistest.Eventually(t, timeout, "recommendations forget", func() error {
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

// watch is one viewing.
func (c caller) watch(t *testing.T, id string) {
	t.Helper()
	if status, answer := c.call(t, "GET", "video-streaming", "/video?id="+id+"&view="+uuid.NewString(), nil); status != http.StatusOK {
		t.Fatalf("watch: %d %.200s", status, answer)
	}
}

func (c caller) remove(t *testing.T, id string) {
	t.Helper()
	chassistest.Eventually(t, timeout, "remove", func() error {
		status, answer := c.call(t, "DELETE", "metadata", "/video?id="+id, nil)
		if status != http.StatusNoContent {
			return fmt.Errorf("%d %s", status, answer)
		}
		return nil
	})
}

// removalsHandled counts the messages about removed videos that history and recommendations have handled since they
// were started.
func (s *site) removalsHandled(t *testing.T) map[string]float64 {
	t.Helper()
	counts := map[string]float64{}
	for _, service := range []string{"history", "recommendations"} {
		n, err := metric(s.system.Services[service].Address, `messages_handled_total{queue="`+contracts.VideoRemoved.Queue(service).Name+`"}`)
		if err != nil {
			t.Fatal(err)
		}
		counts[service] = n
	}
	return counts
}
