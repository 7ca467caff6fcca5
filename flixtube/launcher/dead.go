package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"flixtube/chassis/messaging"
	"flixtube/chassis/messaging/brokers"
	"flixtube/chassis/text"
	"flixtube/contracts"
)

var errDeadUsage = usageError("usage: go run ./flixtube dead list | show ID | back ID | back all | drop ID | drop all; with -id ID instead of ID, " +
	"it is taken as it is, also when it is all")

// runDead lists the dead letters, requeues or drops them.
func runDead(ctx context.Context, c call) error {
	verb, which, err := parseDead(c.args, c.id)
	if err != nil {
		return err
	}
	broker, err := connectBroker(ctx, c)
	if err != nil {
		return err
	}
	defer broker.Close()
	d := deadLetters{broker, c.stdout}
	switch verb {
	case "list":
		return d.list(ctx)
	case "show":
		return d.each(ctx, which, action{d.show, ""})
	case "back":
		return d.each(ctx, which, action{d.back, "returned to"})
	default:
		return d.each(ctx, which, action{d.drop, "dropped from"})
	}
}

// selection says which dead letters a command is about.
type selection struct {
	all   bool
	id    string
	exact bool // id is no short form
}

// parseDead parses the arguments of the command, and the value of -id.
func parseDead(args []string, exact string) (verb string, which selection, err error) {
	if len(args) == 0 {
		return "", selection{}, errDeadUsage
	}
	verb, args = args[0], args[1:]
	ids := len(args)
	if exact != "" {
		ids++
	}
	switch {
	case verb == "list" && ids == 0:
		return verb, selection{}, nil
	case !slices.Contains([]string{"show", "back", "drop"}, verb) || ids != 1:
		return "", selection{}, errDeadUsage
	case exact != "":
		return verb, selection{id: exact, exact: true}, nil
	case args[0] == "", args[0] == "all" && verb == "show":
		return "", selection{}, errDeadUsage
	case args[0] == "all":
		return verb, selection{all: true}, nil
	}
	return verb, selection{id: args[0]}, nil
}

func (s selection) has(l messaging.Delivery) bool {
	return s.all || printable(l.ID) == s.id || !s.exact && short(l) == s.id
}

// connectBroker connects to that of brokerAddress. The caller closes the connection.
func connectBroker(ctx context.Context, c call) (messaging.Connection, error) {
	address, err := brokerAddress(ctx, c)
	if err != nil {
		return nil, err
	}
	return brokers.Connect(address)
}

// brokerAddress is RABBIT, or else the broker in the site that runs on the data folder.
func brokerAddress(ctx context.Context, c call) (string, error) {
	if address := c.getenv("RABBIT"); address != "" {
		return address, nil
	}
	st, err := askStatus(ctx, c.data)
	if err != nil {
		return "", fmt.Errorf("%w, or name the broker in RABBIT", err)
	}
	if !st.Broker.Embedded { // its password is not in the status
		return "", fmt.Errorf("the flixtube on %s uses the broker %s; name it in RABBIT, as for the start", c.data, st.Broker.Address)
	}
	return st.Broker.Address, nil
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

// withheld is how long to wait for a letter that the broker counts but does not deliver: another client may hold it.
const withheld = 15 * time.Second

// look calls f with each dead letter that one queue has now, not with those that arrive meanwhile. Those that f does not
// acknowledge stay. unseen is how many the broker did not deliver.
func (d deadLetters) look(ctx context.Context, q messaging.Queue, f func(messaging.Session, messaging.Delivery) error) (unseen int, err error) {
	unseen, err = d.broker.Len(ctx, q.Dead())
	if err != nil || unseen == 0 {
		return 0, err
	}
	session, err := d.broker.Open(ctx, q.Dead(), messaging.All)
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
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", q.Name, short(l), printable(h[messaging.HeaderTries]),
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

// short names a dead letter in one column, also one that came without an id.
func short(l messaging.Delivery) string {
	const most = 40 // characters; a UUID has 36
	id := []rune(printable(l.ID))
	switch {
	case len(id) == 0:
		return "-"
	case len(id) > most:
		return string(id[:most-1]) + "…"
	}
	return string(id)
}

// printable keeps text of others from controlling the terminal: it shows everything that has no picture of its own, such
// as control characters and marks of direction, as Go would write it, and spaces of other kinds too.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) && !text.Blank(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}

// action is done with each dead letter that was selected.
type action struct {
	do   func(context.Context, letter) error
	done string // and the queue
}

// errKept is why an action left a letter where it is. It is no failure of the others.
type errKept struct{ reason string }

func (e errKept) Error() string { return e.reason }

// each does something with the selected dead letters in all queues.
func (d deadLetters) each(ctx context.Context, which selection, a action) error {
	found, unseen := 0, 0
	var kept []error
	for _, q := range contracts.Queues() {
		publisher, count := d.broker.Publisher(messaging.To(q)), 0
		n, err := d.look(ctx, q, func(session messaging.Session, l messaging.Delivery) error {
			if !which.has(l) {
				return nil
			}
			found++
			err := a.do(ctx, letter{l, q, publisher, session})
			var keep errKept
			if errors.As(err, &keep) {
				kept = append(kept, fmt.Errorf("%s of %s: %w", short(l), q.Name, err))
				return nil
			}
			count++
			return err
		})
		if count > 0 && a.done != "" {
			fmt.Fprintf(d.out, "%s %s %s\n", counted(count), a.done, q.Name)
		}
		if err != nil {
			return err
		}
		unseen += n
	}
	switch {
	case found == 0 && which.all:
		fmt.Fprintln(d.out, "no dead letters")
	case found == 0 && unseen > 0:
		return fmt.Errorf("no dead letter that the broker delivered has the id %q; it did not deliver %d", which.id, unseen)
	case found == 0:
		return fmt.Errorf("no dead letter has the id %q", which.id)
	}
	return errors.Join(kept...)
}

func counted(n int) string {
	if n == 1 {
		return "1 dead letter"
	}
	return fmt.Sprintf("%d dead letters", n)
}

func (d deadLetters) show(_ context.Context, l letter) error {
	fmt.Fprintf(d.out, "queue: %s\nid: %s\n", l.queue.Name, printable(l.ID))
	for _, name := range slices.Sorted(maps.Keys(l.Headers)) {
		fmt.Fprintf(d.out, "%s: %s\n", printable(name), printable(l.Headers[name]))
	}
	fmt.Fprintf(d.out, "%s\n", printable(string(l.Body)))
	return nil
}

// back sends the message to its queue again, and only then takes it from the dead letters: if that is
// interrupted it is in both, and handling it twice changes nothing.
func (d deadLetters) back(ctx context.Context, l letter) error {
	if l.CutFrom > 0 || l.Headers[messaging.HeaderCutFrom] != "" {
		return errKept{"only the beginning of its body was kept; it can be dropped"}
	}
	if err := l.publisher.Publish(ctx, []messaging.Message{{ID: l.ID, Body: l.Body}}); err != nil {
		return err
	}
	return l.session.Ack([]messaging.Delivery{l.Delivery})
}

func (d deadLetters) drop(_ context.Context, l letter) error {
	return l.session.Ack([]messaging.Delivery{l.Delivery})
}
