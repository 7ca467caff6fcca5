// Servers runs the broker (NATS JetStream) and the database (FerretDB on SQLite) of "go run ./flixtube" and of the tests.
// It prints a line DBHOST=... and a line RABBIT=..., which services understand, once both listen, and stops on SIGTERM.
// Everything else links no embedded server.
//
//	-data DIR          the folder of their files
//	-remove            delete DIR at the end; what is in it need not survive a power cut
//	-broker=false      no broker
//	-broker-port N     its port; by default any that is free
//	-database=false    no database
//	-database-port N   its port; by default any that is free
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"

	"flixtube/chassis/process"
	"flixtube/flixtube/internal/datafolder"
)

func main() {
	process.Main(func(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
		err := run(ctx, os.Args[1:], getenv, stdout)
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	})
}

// memoryLimit is the memory, in bytes, beyond which the garbage collector works harder. GOMEMLIMIT replaces it.
const memoryLimit = 512 << 20

func run(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer) error {
	flags := flag.NewFlagSet("servers", flag.ContinueOnError)
	flags.SetOutput(stdout)
	data := flags.String("data", "", "`folder` of their files")
	remove := flags.Bool("remove", false, "delete the folder at the end; it need not survive a power cut")
	withBroker, withDatabase := flags.Bool("broker", true, "run a broker"), flags.Bool("database", true, "run a database")
	brokerPort := flags.Int("broker-port", 0, "`port` of the broker; 0 is any that is free")
	databasePort := flags.Int("database-port", 0, "`port` of the database; 0 is any that is free")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	if *data == "" {
		return errors.New("-data is missing")
	}
	if getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	folder, err := filepath.Abs(*data)
	if err != nil {
		return err
	}
	unlock, err := datafolder.Lock(folder, "servers.lock")
	if err != nil {
		return err
	}
	if *remove {
		defer os.RemoveAll(folder)
	}
	defer unlock()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if *withDatabase {
		address, stop, err := startDatabase(filepath.Join(folder, "db"), *databasePort, log)
		if err != nil {
			return err
		}
		defer stop()
		fmt.Fprintf(stdout, "DBHOST=%s\n", address)
	}
	if *withBroker {
		address, stop, err := startBroker(filepath.Join(folder, "nats"), *brokerPort, !*remove, log)
		if err != nil {
			return err
		}
		defer stop()
		fmt.Fprintf(stdout, "RABBIT=%s\n", address)
	}
	<-ctx.Done()
	return nil
}
