// Package relay sends stored facts to a broker, and removes them from where they are stored once the broker has them.
package relay

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"flixtube/chassis/backoff"
	"flixtube/chassis/messaging"
)

// Source stores facts until they are sent: an outbox on disk, or a field of the documents that the facts are about.
type Source interface {
	// Next returns the oldest facts, as many as are to be sent together, and forget, which removes just those. The relay
	// calls forget when the broker has them all, and otherwise Next again.
	Next(ctx context.Context) (facts []messaging.Message, forget func(context.Context) error, err error)

	// Added has a value when there may be new facts.
	Added() <-chan struct{}
}

// Signal is a Source's Added.
type Signal chan struct{}

// NewSignal returns a signal without a value.
func NewSignal() Signal { return make(Signal, 1) }

// Send never blocks. Several that nobody received yet are one.
func (s Signal) Send() {
	select {
	case s <- struct{}{}:
	default:
	}
}

// Send returns nil once the broker has all facts, as the Publish of a messaging.Publisher does.
type Send func(ctx context.Context, facts []messaging.Message) error

// Relay sends the facts of one source. Two relays of one source send some facts twice, under the same ids.
type Relay struct {
	source Source
	send   Send
	log    *slog.Logger
}

// New returns a relay that has not begun to work.
func New(source Source, send Send, log *slog.Logger) *Relay {
	return &Relay{source: source, send: send, log: log}
}

// lookEvery is between looks at a source that had no facts, for those of which no signal tells: another process may have
// left them.
const lookEvery = 10 * time.Second

// Run works until ctx is done and then returns nil. It sends the oldest facts first and retries until they are sent.
func (r *Relay) Run(ctx context.Context) error {
	var wait backoff.Backoff
	failing := false
	for ctx.Err() == nil {
		sent, err := r.next(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			r.log.WarnContext(ctx, "facts wait to be sent; will retry", "error", err)
		case failing:
			r.log.InfoContext(ctx, "facts are sent again")
		}
		failing = err != nil
		wait.Wait(ctx, err)
		if err == nil && sent == 0 {
			select {
			case <-ctx.Done():
			case <-r.source.Added():
			case <-time.After(lookEvery):
			}
		}
	}
	return nil
}

// next sends the next facts and returns how many there were.
func (r *Relay) next(ctx context.Context) (int, error) {
	facts, forget, err := r.source.Next(ctx)
	if err != nil || len(facts) == 0 {
		return 0, err
	}
	if err := r.send(ctx, facts); err != nil {
		return 0, err
	}
	if err := forget(ctx); err != nil {
		return 0, fmt.Errorf("forget the facts that were sent: %w", err)
	}
	return len(facts), nil
}
