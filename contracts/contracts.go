// Package contracts defines the messages between the services once: the exchanges, the queues and who subscribes to
// them, the rule by which a fact gets its id, and a JSON sample of each message. The tests of all encoders and decoders
// use the samples.
package contracts

import (
	"embed"
	"fmt"
	"time"

	"github.com/google/uuid"

	"flixtube/chassis/messaging"
)

// Fact is one kind of message. Its exchange (durable, fanout) has the same name.
type Fact struct {
	Name        string
	Subscribers []string // the services that have a queue of their own
}

// The facts that services tell each other.
var (
	Viewed        = Fact{"viewed", []string{"history", "recommendations"}}
	VideoUploaded = Fact{"video-uploaded", []string{"metadata", "video-storage"}}
	VideoRemoved  = Fact{"video-removed", []string{"video-storage", "history", "recommendations"}}
)

// ViewedQueue is the single-recipient queue: each message on it is handled by one of history's replicas.
var ViewedQueue = messaging.Queue{Name: "viewed"}

// Deliveries are the ways in which Viewed is sent, which are the values of VIEWED_DELIVERY: by a request to history, to
// ViewedQueue, or to the exchange.
func Deliveries() []string { return []string{"direct", "queue", "fanout"} }

// Queue is the durable queue of one subscriber.
func (f Fact) Queue(service string) messaging.Queue {
	return messaging.Queue{Name: service + "." + f.Name, Exchange: f.Name}
}

// Destination is the exchange. The queues of all subscribers are declared with it: messages that are sent before a
// subscriber's first start wait for it.
func (f Fact) Destination() messaging.Destination {
	queues := make([]string, len(f.Subscribers))
	for i, service := range f.Subscribers {
		queues[i] = f.Queue(service).Name
	}
	return messaging.Fanout(f.Name, queues...)
}

// Facts are all kinds of messages.
func Facts() []Fact { return []Fact{Viewed, VideoUploaded, VideoRemoved} }

// Queues are all queues that services consume, without those of the dead letters.
func Queues() []messaging.Queue {
	queues := []messaging.Queue{ViewedQueue}
	for _, f := range Facts() {
		for _, service := range f.Subscribers {
			queues = append(queues, f.Queue(service))
		}
	}
	return queues
}

// FactID returns the id of the fact in m. It is the first of these: inBody, the id that the body has; the broker's message
// id, if the sender set it; an id made from the bytes of the body, if the body has the time of the fact. A message that has
// none of them is a new fact each time the broker delivers it.
func FactID(inBody string, at time.Time, m messaging.Message) string {
	switch {
	case inBody != "":
		return inBody
	case m.Named():
		return m.ID
	case !at.IsZero():
		return uuid.NewSHA1(uuid.NameSpaceOID, m.Body).String()
	case m.ID != "":
		return m.ID
	}
	return uuid.NewString()
}

//go:embed samples
var samples embed.FS

// Sample returns the JSON sample of a fact by its name, as in "viewed". "viewed-minimal" is the smallest valid viewed
// message.
func Sample(name string) ([]byte, error) {
	sample, err := samples.ReadFile("samples/" + name + ".json")
	if err != nil {
		return nil, fmt.Errorf("there is no sample %q: %w", name, err)
	}
	return sample, nil
}
