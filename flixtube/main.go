// Flixtube runs the whole of FlixTube with one command and nothing but Go installed:
//
//	go run ./flixtube [-data DIR] [-port 4000]
//
// It builds the seven services, starts a broker (NATS JetStream) and a database (FerretDB on SQLite) inside
// itself and the services as processes of their own, uploads some sample videos if there are none, and prints
// the addresses. Ctrl-C stops it all. A service that dies is restarted.
//
//	-data DIR   where everything is kept; by default the user's data folder + /flixtube
//	-port N     the port of the gateway, by default 4000
//
// Variables that are set replace the embedded parts:
//
//	RABBIT       a broker: amqp://user:password@host:5672 or nats://host:4222
//	DBHOST       a database: mongodb://host:27017
//	STORAGE_ACCOUNT_NAME, STORAGE_ACCESS_KEY, STORAGE_ENDPOINT
//	             Azure Blob Storage or Azurite, for the videos
//	VIDEOS_DIR   a folder for the videos
//	VIEWER_KEY, VIEWER_KEY_FILE
//	             the key that signs viewers' cookies; by default viewer-key in the data folder, made at the first start
//
// Every other variable reaches the services unchanged, for example VIEWED_DELIVERY; but HOST is 127.0.0.1 for all of them.
//
// Commands:
//
//	flixtube servers -data DIR [-remove]
//	             runs only the broker and the database, to work on one service; prints the lines DBHOST=...
//	             and RABBIT=... for its environment. -remove deletes DIR at the end.
//
//	flixtube dead [-data DIR] list | show ID | back ID | back all | drop ID | drop all
//	             lists the dead letters, which are messages that could not be handled, requeues or drops them: in
//	             the broker that RABBIT names, or else in that of the flixtube which runs on DIR. ID may be the short
//	             form in the list; "drop -id all" drops the letter with the id "all"
//
//	flixtube videos list | show ID | remove ID | rename ID TITLE
//	             acts on videos without being their owner, through the service metadata at METADATA_URL, by default
//	             http://127.0.0.1:4006
package main

import (
	"context"
	"crypto/rand"
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
	"slices"
	"strings"

	"flixtube/chassis/messaging/brokers"
	"flixtube/chassis/process"
	"flixtube/flixtube/launch"
	"flixtube/flixtube/samples"
)

func main() {
	process.Main(func(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
		return run(ctx, os.Args[1:], getenv, stdout)
	})
}

// memoryLimit is the memory, in bytes, beyond which the garbage collector works harder. GOMEMLIMIT replaces it.
const memoryLimit = 512 << 20

// commands by their name, which is the first argument; without one, everything runs.
var commands = map[string]command{
	"servers": runServers,
	"dead":    runDead,
	"videos":  runVideos,
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
	if address := getenv("RABBIT"); address != "" {
		if err := brokers.Check(address); err != nil {
			return err
		}
	}
	folder, err := filepath.Abs(*data)
	if err != nil {
		return err
	}
	return runAll(ctx, folder, *port, getenv, launch.NewOutput(stdout))
}

// runAll runs the servers and the services until ctx is done.
func runAll(ctx context.Context, folder string, port int, getenv func(string) string, output *launch.Output) error {
	bin := filepath.Join(folder, "bin")
	system, err := launch.New(launch.Options{Bin: bin, Data: folder, Port: port, Output: output})
	if err != nil {
		return err
	}
	unlock, err := lock(folder)
	if err != nil {
		return err
	}
	defer unlock()
	output.Say("building the services; the first time this takes a while")
	err = launch.Build(ctx, bin, output)
	if ctx.Err() != nil {
		return nil // stopped meanwhile
	}
	if err != nil {
		return err
	}
	vars, stopServers, err := startServers(folder, getenv, output)
	if err != nil {
		return err
	}
	defer stopServers()
	if getenv("VIEWER_KEY") == "" && getenv("VIEWER_KEY_FILE") == "" {
		if vars["VIEWER_KEY_FILE"], err = makeKey(folder); err != nil {
			return err
		}
	}
	system.Configure(vars)
	system.Start()
	defer system.Stop()
	if err := system.WaitReady(ctx); err != nil {
		return nil // stopped meanwhile
	}
	library := samples.Library{Gateway: system.Services["gateway"].Address, Metadata: system.Services["metadata"].Address, Say: output.Say}
	if err := library.Seed(ctx); err != nil && ctx.Err() == nil {
		output.Say("the sample videos are missing: %v", err)
	}
	for _, name := range launch.Names() {
		output.Say("%s is process %d at %s", name, system.Services[name].PID(), system.Services[name].Address)
	}
	output.Say("FlixTube is ready at %s", system.URL)
	<-ctx.Done()
	output.Say("stopping")
	return nil
}

// startServers starts the servers that the environment does not name, and returns the variables that lead
// to all of them.
func startServers(folder string, getenv func(string) string, output *launch.Output) (vars map[string]string, stop func(), err error) {
	log := slog.New(slog.NewTextHandler(output.Named("servers"), &slog.HandlerOptions{Level: slog.LevelWarn}))
	var started []func()
	stop = func() {
		for _, end := range slices.Backward(started) {
			end()
		}
	}
	vars = map[string]string{}
	for _, name := range append([]string{"RABBIT", "DBHOST", "VIDEOS_DIR"}, launch.AzureVariables...) {
		if value := getenv(name); value != "" {
			vars[name] = value
		}
	}
	if vars["DBHOST"] == "" {
		address, end, err := startDatabase(filepath.Join(folder, "db"), log)
		if err != nil {
			return nil, nil, err
		}
		vars["DBHOST"], started = address, append(started, end)
	}
	if vars["RABBIT"] == "" {
		address, end, err := startBroker(filepath.Join(folder, "nats"), true, log)
		if err != nil {
			stop()
			return nil, nil, err
		}
		vars["RABBIT"], started = address, append(started, end)
		file := filepath.Join(folder, addressFile)
		if err := os.WriteFile(file, []byte(address), 0o600); err != nil {
			stop()
			return nil, nil, err
		}
		started = append(started, func() { _ = os.Remove(file) })
	}
	given := func(name string) bool { return vars[name] != "" }
	if !given("VIDEOS_DIR") && !slices.ContainsFunc(launch.AzureVariables, given) {
		vars["VIDEOS_DIR"] = filepath.Join(folder, "videos")
	}
	return vars, stop, nil
}

// makeKey returns the name of the file with the key that signs viewers' cookies. It makes the key once: viewers who come back
// with a cookie of another key are strangers.
func makeKey(folder string) (file string, err error) {
	file = filepath.Join(folder, "viewer-key")
	if _, err = os.Stat(file); err == nil {
		return file, nil
	}
	unfinished := file + ".new"
	if err = os.WriteFile(unfinished, []byte(rand.Text()+rand.Text()+"\n"), 0o600); err == nil {
		err = os.Rename(unfinished, file)
	}
	if err != nil {
		return "", fmt.Errorf("make the key of the viewers' cookies: %w", err)
	}
	return file, nil
}

func runServers(ctx context.Context, args []string, _ func(string) string, stdout io.Writer) error {
	flags := newFlags("flixtube servers", stdout)
	data := flags.String("data", "", "`folder` for their files")
	remove := flags.Bool("remove", false, "delete the folder at the end; it need not survive a power cut")
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

// withGoRun returns a context that also ends when this program was started by "go run", and that is gone: go run does
// not forward SIGTERM, and cannot forward SIGKILL.
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

// startedByGoRun: go run puts the programs that it builds into its cache, or into a temporary folder go-build….
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
