package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

// DrainTime is how long a stopping service waits for the requests in flight before it cuts them off. The background
// work ends after that: a supervisor should wait for longer, as the production containers (20 seconds)
// and Kubernetes (30) do. Docker by itself kills after ten.
const DrainTime = 8 * time.Second

// Service is a running service: its HTTP server and its background work.
type Service struct {
	Addr    string // host:port; port 0 picks a free one, which the "listening" log line tells
	Handler http.Handler
	Log     *slog.Logger

	// Connections bounds those of clients; its zero value lets half of the process's descriptors be
	// clients', and leaves a quarter of them to other addresses than one.
	Connections Connections

	// Background holds consumers and relays. Each works until its context is done, which is after the last
	// request has been answered, and then returns nil. One that returns an error stops the service.
	Background []func(ctx context.Context) error
}

// Run listens, serves until ctx is done, lets the requests in flight finish, and then stops the background
// work. A port that is taken is an error at once.
func (s Service) Run(ctx context.Context) error {
	listener, err := net.Listen("tcp", s.Addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	// No WriteTimeout, which would cut long streams, and no ReadTimeout, which would cut long uploads: conn and body
	// have deadlines for the next bytes instead.
	server := &http.Server{
		Handler:           resetBroken(renewConnections(guardBodies(s.Handler, defaultBodyTimes), connectionTime)),
		ConnContext:       withConn,
		ConnState:         nextHeader,
		MaxHeaderBytes:    maxHeaderBytes,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn),
	}
	s.Log.Info("listening", "addr", listener.Addr().String())

	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	work, failed := errgroup.WithContext(background)
	for _, f := range s.Background {
		work.Go(func() error { return f(failed) })
	}
	served := make(chan error, 1)
	connections := newListener(listener, s.Connections.orDefault())
	go func() { served <- server.Serve(connections) }()

	select {
	case <-ctx.Done():
	case <-failed.Done():
	case err = <-served:
	}
	s.Log.Info("stopping")
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), DrainTime)
	defer cancel()
	if server.Shutdown(drain) != nil || connections.drain(drain) != nil { // the time is over
		close(connections.cut)
		_ = server.Close()
		_ = connections.drain(context.WithoutCancel(ctx)) // none lingers once they are cut
	}
	stopBackground()
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return errors.Join(err, work.Wait())
}
