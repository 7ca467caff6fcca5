package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"flixtube/chassis/messaging"
	"flixtube/chassis/messaging/brokers"
	"flixtube/contracts"
)

var errDeadUsage = errors.New(`usage: flixtube dead [-data DIR] list
       flixtube dead [-data DIR] show ID
       flixtube dead [-data DIR] back ID | all
       flixtube dead [-data DIR] drop ID | all
The broker is the one that RABBIT names, or else that of the flixtube that runs on DIR`)

// runDead lists the dead letters, requeues or drops them.
func runDead(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer) error {
	flags := newFlags("flixtube dead", io.Discard)
	data := flags.String("data", "", "")
	if err := flags.Parse(args); err != nil {
		return errDeadUsage
	}
	verb, id := flags.Arg(0), flags.Arg(1)
	wants := map[string]int{"list": 1, "show": 2, "back": 2, "drop": 2}[verb]
	if wants == 0 || flags.NArg() != wants || (verb == "show" && id == "all") {
		return errDeadUsage
	}
	address, err := brokerAddress(*data, getenv)
	if err != nil {
		return err
	}
	broker, err := brokers.Connect(address)
	if err != nil {
		return err
	}
	defer broker.Close()
	d := deadLetters{broker, stdout}
	switch verb {
	case "list":
		return d.list(ctx)
	case "show":
		return d.each(ctx, id, d.show)
	case "back":
		return d.each(ctx, id, d.back)
	default:
		return d.each(ctx, id, d.drop)
	}
}

// addressFile is where a running launcher says how to reach the broker inside it.
const addressFile = "rabbit"

func brokerAddress(data string, getenv func(string) string) (string, error) {
	if address := getenv("RABBIT"); address != "" {
		return address, nil
	}
	if data == "" {
		var err error
		if data, err = defaultData(getenv); err != nil {
			return "", err
		}
	}
	address, err := os.ReadFile(filepath.Join(data, addressFile))
	if err == nil {
		unlock, free := lock(data)
		if free != nil {
			return string(address), nil
		}
		unlock() // the flixtube that wrote the address was killed
	}
	return "", fmt.Errorf("no flixtube runs on %s; start it, or name the broker in RABBIT", data)
}

type deadLetters struct {
	broker messaging.Connection
	out    io.Writer
}

// letter is a dead letter, and where it came from.
type letter struct {
	messaging.Delivery
	queue     messaging.Queue
	publisher messaging.Publisher // to the queue
	session   messaging.Session
}

const (
	most     = 1<<16 - 1        // dead letters that are held at a time; AMQP has 16 bits for it, and JetStream delivers fewer
	withheld = 15 * time.Second // for one that the broker counts but does not deliver: another client may hold it
)

// look calls f with each dead letter that one queue has now, not with those that arrive meanwhile. Those that f does not
// acknowledge stay. unseen is how many the broker did not deliver.
func (d deadLetters) look(ctx context.Context, q messaging.Queue, f func(messaging.Session, messaging.Delivery) error) (unseen int, err error) {
	unseen, err = d.broker.Len(ctx, q.Dead())
	if err != nil || unseen == 0 {
		return 0, err
	}
	session, err := d.broker.Open(ctx, q.Dead(), most)
	if err != nil {
		return 0, err
	}
	defer session.Close()
	for ; unseen > 0; unseen-- {
		select {
		case <-ctx.Done():
			return unseen, ctx.Err()
		case letter, ok := <-session.Deliveries():
			if !ok {
				return unseen, errors.New("the broker ended the session")
			}
			if err := f(session, letter); err != nil {
				return unseen, err
			}
		case <-time.After(withheld):
			return unseen, nil
		}
	}
	return 0, nil
}

func (d deadLetters) list(ctx context.Context) error {
	table := tabwriter.NewWriter(d.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "QUEUE\tID\tTRIES\tLAST ERROR\tREASON")
	for _, q := range contracts.Queues() {
		unseen, err := d.look(ctx, q, func(_ messaging.Session, l messaging.Delivery) error {
			h := l.Headers
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", q.Name, idOf(l), printable(h[messaging.HeaderTries]),
				printable(h[messaging.HeaderLastError]), printable(fmt.Sprintf("%.120s", h[messaging.HeaderReason])))
			return nil
		})
		if err != nil {
			return err
		}
		if unseen > 0 {
			fmt.Fprintf(table, "%s\tand %d more\t\t\t\n", q.Name, unseen)
		}
	}
	return table.Flush()
}

// idOf names a dead letter, also one that came without an id.
func idOf(l messaging.Delivery) string {
	if l.ID == "" {
		return "-"
	}
	return printable(l.ID)
}

// printable keeps text of others from controlling the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || (r >= 0x7f && r < 0xa0) {
			return '?'
		}
		return r
	}, s)
}

// each does something with the dead letters of that id in all queues, or with all dead letters.
func (d deadLetters) each(ctx context.Context, id string, do func(context.Context, letter) error) error {
	count, unseen := 0, 0
	for _, q := range contracts.Queues() {
		publisher := d.broker.Publisher(messaging.To(q))
		n, err := d.look(ctx, q, func(session messaging.Session, l messaging.Delivery) error {
			if id != "all" && idOf(l) != id {
				return nil
			}
			count++
			return do(ctx, letter{l, q, publisher, session})
		})
		if err != nil {
			return err
		}
		unseen += n
	}
	if count == 0 && id != "all" {
		if unseen > 0 {
			return fmt.Errorf("no dead letter that the broker delivered has the id %q; it did not deliver %d", id, unseen)
		}
		return fmt.Errorf("no dead letter has the id %q", id)
	}
	fmt.Fprintf(d.out, "%d dead letters\n", count)
	return nil
}

func (d deadLetters) show(_ context.Context, l letter) error {
	fmt.Fprintf(d.out, "queue: %s\nid: %s\n", l.queue.Name, idOf(l.Delivery))
	for _, name := range slices.Sorted(maps.Keys(l.Headers)) {
		fmt.Fprintf(d.out, "%s: %s\n", printable(name), printable(l.Headers[name]))
	}
	fmt.Fprintf(d.out, "%s\n", printable(string(l.Body)))
	return nil
}

// back sends the message to its queue again, and only then takes it from the dead letters: if that is
// interrupted it is in both, and handling it twice changes nothing.
func (d deadLetters) back(ctx context.Context, l letter) error {
	if err := l.publisher.Publish(ctx, []messaging.Message{{ID: l.ID, Body: l.Body}}); err != nil {
		return err
	}
	return l.session.Ack([]messaging.Delivery{l.Delivery})
}

func (d deadLetters) drop(_ context.Context, l letter) error {
	return l.session.Ack([]messaging.Delivery{l.Delivery})
}
