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
	seen   map[string]time.Time // when each fact that waits was first seen, by id; only for the debug log
}

// New returns a relay that has not begun to work. log should say where send sends. At the level debug it gets a line for each
// fact that was sent, with its id and how long it had waited for that since the relay first saw it.
func New(source Source, send Send, log *slog.Logger) *Relay {
	return &Relay{source: source, send: send, log: log, seen: map[string]time.Time{}}
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
	debug := r.log.Enabled(ctx, slog.LevelDebug)
	if debug {
		r.see(facts)
	}
	if err := r.send(ctx, facts); err != nil {
		return 0, err
	}
	if debug {
		r.logSent(ctx, facts)
	}
	if err := forget(ctx); err != nil {
		return 0, fmt.Errorf("forget the facts that were sent: %w", err)
	}
	return len(facts), nil
}

func (r *Relay) see(facts []messaging.Message) {
	now := time.Now()
	for _, f := range facts {
		if _, ok := r.seen[f.ID]; !ok {
			r.seen[f.ID] = now
		}
	}
}

func (r *Relay) logSent(ctx context.Context, facts []messaging.Message) {
	for _, f := range facts {
		r.log.DebugContext(ctx, "fact published", "id", f.ID, "delay_ms", time.Since(r.seen[f.ID]).Milliseconds())
		delete(r.seen, f.ID)
	}
}
