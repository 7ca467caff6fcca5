// Flixtube runs the whole of FlixTube with one command and nothing but Go installed:
//
//	go run ./flixtube [-data DIR] [-port 4000]
//
// It builds the seven services, starts a broker (NATS JetStream) and a database (FerretDB on SQLite) inside
// itself and the services as processes of their own, uploads some sample videos if there are none, and says
// where to look. Ctrl-C stops it all. A service that dies is started again.
//
//	-data DIR   where everything is kept; by default the user's data folder + /flixtube
//	-port N     the port of the gateway: 4000
//
// Variables that are set take the place of the parts inside:
//
//	RABBIT       a broker: amqp://user:password@host:5672 or nats://host:4222
//	DBHOST       a database: mongodb://host:27017
//	STORAGE_ACCOUNT_NAME, STORAGE_ACCESS_KEY, STORAGE_ENDPOINT
//	             Azure Blob Storage or Azurite, for the videos
//	VIDEOS_DIR   a folder for the videos
//
// Every other variable reaches the services as it is, VIEWED_DELIVERY for one.
//
// Commands:
//
//	flixtube servers -data DIR [-remove]
//	             runs the broker and the database alone, to work on one service; prints the lines DBHOST=...
//	             and RABBIT=... for its environment. -remove deletes DIR at the end.
//
//	flixtube dead [-data DIR] list | show ID | back ID | back all | drop ID | drop all
//	             looks at the messages that could not be handled, puts them back or drops them: in the broker
//	             that RABBIT names, or else in that of the flixtube which runs on DIR
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	"flixtube/chassis/process"
)

func main() {
	process.Main(func(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
		return run(ctx, os.Args[1:], getenv, stdout)
	})
}

// memoryLimit is what the embedded servers may take before the garbage collector works harder. GOMEMLIMIT,
// when set, counts instead.
const memoryLimit = 512 << 20

// commands are what the first argument may name; without one, everything runs.
var commands = map[string]command{
	"servers": runServers,
	"dead":    runDead,
}

type command func(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer) error

func run(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer) error {
	ctx, cancel := withGoRun(ctx)
	defer cancel()
	if getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	if len(args) > 0 && commands[args[0]] != nil {
		return commands[args[0]](ctx, args[1:], getenv, stdout)
	}
	flags := newFlags("flixtube", stdout)
	data := flags.String("data", "", "`folder` where everything is kept (default: the user's data folder + /flixtube)")
	port := flags.Int("port", 4000, "the gateway's `port`")
	if err := parse(flags, args); err != nil {
		return ignoreHelp(err)
	}
	if *port < 1 || *port > 65535 {
		return fmt.Errorf("-port %d: a port is a number from 1 to 65535", *port)
	}
	if *data == "" {
		var err error
		if *data, err = defaultData(getenv); err != nil {
			return err
		}
	}
	folder, err := filepath.Abs(*data)
	if err != nil {
		return err
	}
	s, err := start(ctx, options{data: folder, port: *port, getenv: getenv, seed: true, out: stdout})
	if ctx.Err() != nil && err != nil {
		return nil // stopped while it was starting
	}
	if err != nil {
		return err
	}
	s.say("FlixTube is ready at %s", s.url)
	<-ctx.Done()
	s.say("stopping")
	s.stop()
	return nil
}

func runServers(ctx context.Context, args []string, _ func(string) string, stdout io.Writer) error {
	flags := newFlags("flixtube servers", stdout)
	data := flags.String("data", "", "`folder` for their files")
	remove := flags.Bool("remove", false, "delete the folder at the end, and do without its safety from power cuts")
	if err := parse(flags, args); err != nil {
		return ignoreHelp(err)
	}
	if *data == "" {
		return errors.New("servers: -data is missing")
	}
	folder, err := filepath.Abs(*data)
	if err != nil {
		return err
	}
	unlock, err := lock(folder)
	if err != nil {
		return err
	}
	if *remove {
		defer os.RemoveAll(folder)
	}
	defer unlock()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	database, stopDatabase, err := startDatabase(filepath.Join(folder, "db"), log)
	if err != nil {
		return err
	}
	defer stopDatabase()
	broker, stopBroker, err := startBroker(filepath.Join(folder, "nats"), !*remove, log)
	if err != nil {
		return err
	}
	defer stopBroker()
	fmt.Fprintf(stdout, "DBHOST=%s\nRABBIT=%s\n", database, broker)
	<-ctx.Done()
	return nil
}

func newFlags(name string, stdout io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(stdout)
	return flags
}

func parse(flags *flag.FlagSet, args []string) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%s: unknown argument %q", flags.Name(), flags.Arg(0))
	}
	return nil
}

// ignoreHelp: asking for help is not a failure.
func ignoreHelp(err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	return err
}

// defaultData is the folder in which programs keep a user's data.
func defaultData(getenv func(string) string) (string, error) {
	var folder string
	var err error
	switch runtime.GOOS {
	case "windows":
		folder, err = os.UserCacheDir() // %LocalAppData%
	case "darwin":
		folder, err = os.UserConfigDir() // ~/Library/Application Support
	default:
		if folder = getenv("XDG_DATA_HOME"); !filepath.IsAbs(folder) {
			folder, err = os.UserHomeDir()
			folder = filepath.Join(folder, ".local", "share")
		}
	}
	if err != nil {
		return "", fmt.Errorf("find a folder for the data: %w; name one with -data", err)
	}
	return filepath.Join(folder, "flixtube"), nil
}

// withGoRun returns a context that also ends when this program was started by "go run" and that has gone:
// go run does not pass SIGTERM on, and cannot pass SIGKILL on.
func withGoRun(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if startedByGoRun(ctx) {
		go func() {
			awaitParent(ctx)
			cancel()
		}()
	}
	return ctx, cancel
}

// startedByGoRun: go run keeps what it has built in its cache, or else in a temporary folder go-build….
func startedByGoRun(ctx context.Context) bool {
	path, err := os.Executable()
	if err != nil {
		return false
	}
	if strings.Contains(path, "go-build") {
		return true
	}
	cache, err := exec.CommandContext(ctx, "go", "env", "GOCACHE").Output()
	if err != nil {
		return false // there is no go
	}
	folder, err := filepath.EvalSymlinks(strings.TrimSpace(string(cache)))
	return err == nil && strings.HasPrefix(path, folder+string(filepath.Separator))
}
