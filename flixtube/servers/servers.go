package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/FerretDB/FerretDB/ferretdb"
	"github.com/nats-io/nats-server/v2/server"
)

// startBroker runs a NATS server with JetStream, its streams in dir, and returns its address. Port 0 is any that is free.
// stop ends it once everything is on disk.
//
// A message that JetStream has confirmed was written to a file, and survives the death of this process. With sync it is
// also flushed to the disk, and survives a power cut. That costs one flush for each message, which is cheap enough for the
// viewers of one machine.
func startBroker(dir string, port int, sync bool, log *slog.Logger) (address string, stop func(), err error) {
	if port == 0 {
		port = server.RANDOM_PORT
	}
	ns, err := server.NewServer(&server.Options{
		ServerName:         "flixtube",
		Host:               "127.0.0.1",
		Port:               port,
		NoSigs:             true,
		JetStream:          true,
		StoreDir:           dir,
		SyncAlways:         sync,
		JetStreamMaxMemory: 64 << 20,
		JetStreamMaxStore:  8 << 30, // a full broker rejects messages; the outboxes keep those
	})
	if err != nil {
		return "", nil, fmt.Errorf("start the broker: %w", err)
	}
	ns.SetLoggerV2(natsLog{log}, false, false, false)
	stop = func() {
		ns.Shutdown()
		ns.WaitForShutdown()
	}
	go ns.Start()
	if !ns.ReadyForConnections(30*time.Second) || !ns.JetStreamEnabled() {
		stop()
		return "", nil, errors.New("the broker does not start; its log says why")
	}
	return ns.ClientURL(), stop, nil
}

// natsLog writes the broker's warnings and errors to our log and drops the rest.
type natsLog struct{ log *slog.Logger }

func (l natsLog) Noticef(string, ...any) {}
func (l natsLog) Debugf(string, ...any)  {}
func (l natsLog) Tracef(string, ...any)  {}

func (l natsLog) Warnf(format string, args ...any) {
	l.log.Warn("nats", "says", fmt.Sprintf(format, args...))
}

func (l natsLog) Errorf(format string, args ...any) {
	l.log.Error("nats", "says", fmt.Sprintf(format, args...))
}

func (l natsLog) Fatalf(format string, args ...any) { l.Errorf(format, args...) }

// startDatabase runs a FerretDB on SQLite, its files in dir, and returns its address. Port 0 is any that is free. stop ends
// it; clients that are still connected get about three seconds.
func startDatabase(dir string, port int, log *slog.Logger) (address string, stop func(), err error) {
	if strings.ContainsAny(dir, "?#%") { // FerretDB hands the path to SQLite as it is, which reads it as a URL
		return "", nil, fmt.Errorf("start the database: the path of %s has one of ?, # and %%; choose another folder", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, fmt.Errorf("start the database: %w", err)
	}
	db, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{TCP: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))},
		Logger:    slog.New(ferretLog{log.Handler()}),
		Handler:   "sqlite",
		SQLiteURL: sqliteURL(dir),
	})
	if err != nil {
		return "", nil, fmt.Errorf("start the database: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = db.Run(ctx) // it only ever returns nil
	}()
	return strings.TrimSuffix(db.MongoDBURI(), "/"), func() { cancel(); <-ended }, nil
}

// sqliteURL is how FerretDB wants to be told the folder, an absolute path. It takes what follows "file:" as it is
// unless that begins with a slash, as a path of Windows does not; so nothing in it is escaped.
//
// FerretDB opens up to 100 connections for each database, and SQLite caches 2 MB of pages in each: a quarter of that
// bounds what they may take together.
func sqliteURL(dir string) string {
	u := url.URL{Scheme: "file", Opaque: filepath.ToSlash(dir) + "/", RawQuery: "_pragma=cache_size(-512)"}
	return u.String()
}

// ferretLog keeps errors only: FerretDB warns of every command that fails and every client that disconnects without notice,
// which clients handle themselves.
type ferretLog struct{ slog.Handler }

func (l ferretLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }

func (l ferretLog) Handle(ctx context.Context, r slog.Record) error {
	r.Message = "ferretdb: " + r.Message
	return l.Handler.Handle(ctx, r)
}

func (l ferretLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return ferretLog{l.Handler.WithAttrs(attrs)}
}

func (l ferretLog) WithGroup(name string) slog.Handler { return ferretLog{l.Handler.WithGroup(name)} }
