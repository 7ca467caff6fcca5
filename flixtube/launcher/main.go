// Launcher is the rest of "go run ./flixtube": it builds the seven services, starts a broker (NATS JetStream), a database
// (FerretDB on SQLite) and the services as processes of their own, uploads some sample videos if there are none, and prints
// the addresses. Ctrl-C stops it all. A service that dies is restarted. The constant manual, below, lists the commands, the
// flags and the variables.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"flixtube/chassis/process"
)

//nolint:gosec // G101: the password in it is a placeholder
const manual = `FlixTube with one command, and nothing but Go installed. In the repository, flixtube is: go run ./flixtube

  flixtube                  builds and runs the site, until Ctrl-C
  flixtube status           lists the services of the running site: port, process, state
  flixtube stop NAME        stops a service until start
  flixtube start NAME       starts it again
  flixtube restart NAME     stops and starts it
  flixtube kill NAME        ends it as kill -9 does; the launcher restarts it
  flixtube pause NAME       lets it hang: it keeps its connections and answers nothing (not on Windows)
  flixtube resume NAME      lets it go on
  flixtube dead list        lists the dead letters: messages that could not be handled
  flixtube dead show ID     shows one, whole
  flixtube dead back ID     returns it to its queue; back all returns all
  flixtube dead drop ID     deletes it; drop all deletes all
  flixtube videos list      lists all videos, of all owners
  flixtube videos show ID   shows what metadata knows of one
  flixtube videos remove ID removes it
  flixtube videos rename ID TITLE
                            gives it another title
  flixtube videos rebuild   lists again what is stored, after metadata lost its database
  flixtube servers          runs only the broker and the database, to work on one service; prints their
                            addresses as DBHOST=... and RABBIT=...
  flixtube help             prints this

NAME is one of those that status lists; servers is the broker and the database. ID may be the short form in
the list.

Flags, before or after the command:

  -data DIR   where everything is kept; by default the user's data folder + /flixtube. With a command: the
              running site that is meant. servers requires it
  -port N     the port of the gateway, by default 4000
  -watch      rebuilds and restarts a service when its sources change
  -id ID      for dead: the ID as it is, also when it is "all"
  -remove     for servers: delete DIR at the end
  -version    prints the version

Variables that are set replace the embedded parts:

  RABBIT      a broker: amqp://user:password@host:5672 or nats://host:4222
  DBHOST      a database: mongodb://host:27017
  STORAGE_ACCOUNT_NAME, STORAGE_ACCESS_KEY, STORAGE_ENDPOINT
              Azure Blob Storage or Azurite, for the videos
  VIDEOS_DIR  a folder for the videos
  VIEWER_KEY, VIEWER_KEY_FILE
              the key that signs viewers' cookies; by default viewer-key in the data folder, made at the first start

Every other variable reaches the services unchanged, for example VIEWED_DELIVERY (direct, queue or fanout) and
LOG_LEVEL (debug shows every message); but HOST is 127.0.0.1 for all of them. dead uses the broker that RABBIT
names, or else that of the running site. videos asks metadata at
METADATA_URL, or else that of the running site.
`

func main() {
	process.Main(func(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
		return run(ctx, os.Args[1:], getenv, stdout)
	})
}

// options are the values of all flags.
type options struct {
	data, id      string
	port          int
	watch, remove bool
}

// call is one run of a command.
type call struct {
	options
	args   []string // after the command's name
	getenv func(string) string
	stdout io.Writer
}

// command is something that the launcher does.
type command struct {
	flags []string // those that it knows besides -data
	args  string   // for its usage; empty if it has none
	run   func(ctx context.Context, c call) error
}

// commands by their name, which is the first argument that is no flag.
func commands() map[string]command {
	all := map[string]command{
		"":        {flags: []string{"port", "watch"}, run: runSite},
		"status":  {run: showStatus},
		"dead":    {flags: []string{"id"}, args: "list | show ID | back ID | back all | drop ID | drop all", run: runDead},
		"videos":  {args: "list | show ID | remove ID | rename ID TITLE | rebuild", run: runVideos},
		"servers": {flags: []string{"remove"}, run: runServers},
		"help":    {run: func(_ context.Context, c call) error { _, err := io.WriteString(c.stdout, manual); return err }},
	}
	for action := range actions {
		all[action] = command{args: "NAME", run: func(ctx context.Context, c call) error { return callAction(ctx, c, action) }}
	}
	return all
}

func run(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer) error {
	c := call{getenv: getenv, stdout: stdout}
	version := false
	flags := flag.NewFlagSet("flixtube", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&c.data, "data", "", "")
	flags.StringVar(&c.id, "id", "", "")
	flags.IntVar(&c.port, "port", 4000, "")
	flags.BoolVar(&c.watch, "watch", false, "")
	flags.BoolVar(&c.remove, "remove", false, "")
	flags.BoolVar(&version, "version", false, "")
	words, err := parse(flags, args)
	if errors.Is(err, flag.ErrHelp) {
		words = []string{"help"}
	} else if err != nil {
		return usageError(err.Error())
	}
	if version {
		_, err := fmt.Fprintln(stdout, process.Name(), process.Version)
		return err
	}
	name := ""
	if len(words) > 0 {
		name, c.args = words[0], words[1:]
	}
	chosen, ok := commands()[name]
	if !ok || name == "" && len(words) > 0 {
		return usageError(fmt.Sprintf("unknown command %q", name))
	}
	if chosen.args == "" && len(c.args) > 0 {
		return usageError(fmt.Sprintf("%s takes no argument %q", name, c.args[0]))
	}
	flags.Visit(func(f *flag.Flag) {
		if f.Name != "data" && !slices.Contains(chosen.flags, f.Name) && err == nil {
			err = usageError(cmp.Or(name, "the start of the site") + " has no flag -" + f.Name)
		}
	})
	if err != nil && name != "help" {
		return err
	}
	if c.data == "" && name == "servers" {
		return usageError("servers: -data is missing")
	}
	if c.data == "" {
		if c.data, err = defaultData(getenv); err != nil {
			return err
		}
	}
	if c.data, err = filepath.Abs(c.data); err != nil {
		return err
	}
	return chosen.run(ctx, c)
}

func usageError(text string) error {
	return fmt.Errorf("%s; go run ./flixtube help lists the commands and flags", text)
}

// parse returns the arguments that are no flags. Flags may be anywhere among them.
func parse(flags *flag.FlagSet, args []string) (words []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			return words, nil
		}
		words, args = append(words, flags.Arg(0)), flags.Args()[1:]
	}
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
