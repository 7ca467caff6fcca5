// Package process is the life of a service's process: its environment, its log, its start, its graceful shutdown, and the
// flags that every service knows.
package process

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"flixtube/chassis/requestid"
)

// Run is the body of a service's main: it works until ctx is done and then stops cleanly.
type Run func(ctx context.Context, getenv func(string) string, stdout io.Writer) error

// Main runs a service until SIGINT or SIGTERM and exits with status 1 if it fails.
//
// When STOP_WITH_PARENT is set the service also stops when its standard input ends: a parent that holds
// the other end of that pipe takes its children with it, even if it is killed.
//
// With -version or -health as its only argument it runs no service, but answers that and ends.
func Main(run Run) {
	if answered, err := answerFlag(os.Args[1:], os.Getenv, os.Stdout); answered {
		exit(err)
		return
	}
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer release()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if os.Getenv("STOP_WITH_PARENT") != "" {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin) // any end, clean or not, means the parent is gone
			stop()
		}()
	}
	exit(run(ctx, os.Getenv, os.Stdout))
}

// exit ends the process if something failed.
func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// NewLogger returns the log of a service: one line per event, key=value; nothing below level. A line that is logged with
// the context of a request carries that request's id.
func NewLogger(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(requestid.NewHandler(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})))
}
