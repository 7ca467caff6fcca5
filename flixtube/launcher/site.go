package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"flixtube/chassis/messaging/brokers"
	"flixtube/chassis/process"
	"flixtube/contracts"
	"flixtube/flixtube/internal/datafolder"
	"flixtube/flixtube/launch"
	"flixtube/flixtube/samples"
)

// site is what the launcher runs.
type site struct {
	system *launch.System
	vars   map[string]string // lead to the servers
	viewed string            // VIEWED_DELIVERY
	output *launch.Output
	acting sync.Mutex // held while a command or a change of the sources acts on a service
}

// runSite runs the servers and the services until ctx is done.
func runSite(ctx context.Context, c call) error {
	if c.port < 1 || c.port > 65535 {
		return fmt.Errorf("-port %d: a port is a number from 1 to 65535", c.port)
	}
	viewed, err := checkEnvironment(c.getenv)
	if err != nil {
		return err
	}
	output := launch.NewOutput(c.stdout)
	bin := filepath.Join(c.data, "bin")
	system, err := launch.New(launch.Options{Bin: bin, Data: c.data, Port: c.port, Output: output})
	if err != nil {
		return err
	}
	unlock, err := datafolder.Lock(c.data, "lock")
	if err != nil {
		return err
	}
	defer unlock()
	output.Say("building the services, the broker and the database; the first time this takes some minutes")
	err = launch.Build(ctx, bin, output)
	if ctx.Err() != nil {
		return nil // stopped meanwhile
	}
	if err != nil {
		return err
	}
	s := &site{system: system, vars: givenServers(c), viewed: viewed, output: output}
	defer system.Stop()
	stopControl, err := s.control(c.data)
	if err != nil {
		return err
	}
	defer stopControl()
	if err := s.start(ctx, c); err != nil {
		if ctx.Err() != nil {
			return nil // stopped meanwhile
		}
		return err
	}
	if c.watch {
		root, err := launch.Root(ctx)
		if err == nil {
			err = s.watch(ctx, root, bin)
		}
		if err != nil {
			return err
		}
	}
	<-ctx.Done()
	output.Say("stopping")
	return nil
}

// checkEnvironment finds what the services would reject, before any of them is built or started, and returns the way in
// which viewed is sent.
func checkEnvironment(getenv func(string) string) (viewed string, err error) {
	env := process.NewEnv(getenv)
	env.LogLevel()
	viewed = env.Optional("VIEWED_DELIVERY", "fanout")
	if !slices.Contains(contracts.Deliveries(), viewed) {
		env.Invalid("VIEWED_DELIVERY", "must be direct, queue or fanout")
	}
	if err := env.Err(); err != nil {
		return "", err
	}
	if address := getenv("RABBIT"); address != "" {
		return viewed, brokers.Check(address)
	}
	return viewed, nil
}

// givenServers are the variables that name servers, and a folder for the videos if none of them does.
func givenServers(c call) map[string]string {
	vars := map[string]string{}
	for _, name := range append([]string{"RABBIT", "DBHOST", "VIDEOS_DIR"}, launch.AzureVariables...) {
		if value := c.getenv(name); value != "" {
			vars[name] = value
		}
	}
	given := func(name string) bool { return vars[name] != "" }
	if !given("VIDEOS_DIR") && !slices.ContainsFunc(launch.AzureVariables, given) {
		vars["VIDEOS_DIR"] = filepath.Join(c.data, "videos")
	}
	return vars
}

// start returns when the site is ready and has said so.
func (s *site) start(ctx context.Context, c call) (err error) {
	if err := s.system.StartServers(ctx, s.vars); err != nil {
		return err
	}
	if c.getenv("VIEWER_KEY") == "" && c.getenv("VIEWER_KEY_FILE") == "" {
		if s.vars["VIEWER_KEY_FILE"], err = makeKey(c.data); err != nil {
			return err
		}
	}
	s.system.Configure(s.vars)
	s.system.Start()
	if err := s.system.WaitReady(ctx); err != nil {
		return err
	}
	missing := s.withoutBroker(ctx)
	if missing == "" {
		if err := s.seed(ctx); err != nil && ctx.Err() == nil {
			s.output.Say("the sample videos are missing: %v", err)
		}
	}
	s.output.Say("%s", s.status().table())
	s.output.Say("%sFlixTube is ready at %s", missing, s.system.URL)
	return nil
}

func (s *site) seed(ctx context.Context) error {
	library := samples.Library{
		Gateway: s.system.Services["gateway"].Address, Metadata: s.system.Services["metadata"].Address, Say: s.output.Say,
	}
	return library.Seed(ctx)
}

// withoutBroker begins the line that says that the site is ready, if its broker does not answer.
func (s *site) withoutBroker(ctx context.Context) string {
	address := s.vars["RABBIT"]
	err := pingBroker(ctx, address)
	if err == nil {
		return ""
	}
	return fmt.Sprintf("the broker at %s does not answer (%v): views and uploads wait for it; ", redacted(address), err)
}

// pingBroker is nil if the broker answers soon.
func pingBroker(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	broker, err := brokers.Connect(address)
	if err != nil {
		return err
	}
	defer broker.Close()
	return broker.Ping(ctx)
}

// status is how the site is at one moment.
type status struct {
	URL      string
	Services []serviceStatus
	Broker   server
	Database server
	Viewed   string // how it is sent
}

type serviceStatus struct {
	launch.Status
	Port string // empty for the servers, which have one each
}

// server is a broker or a database.
type server struct {
	Address  string // without a password
	Embedded bool
}

func (s *site) status() status {
	st := status{URL: s.system.URL, Viewed: s.viewed, Broker: s.server("RABBIT"), Database: s.server("DBHOST")}
	for _, name := range launch.Names() {
		service := s.system.Services[name]
		st.Services = append(st.Services, serviceStatus{service.Status(), port(service.Address)})
	}
	if st.Broker.Embedded || st.Database.Embedded {
		st.Services = append(st.Services, serviceStatus{s.system.Servers.Status(), ""})
	}
	return st
}

func (s *site) server(variable string) server {
	return server{redacted(s.vars[variable]), s.system.Embedded(variable)}
}

// redacted is an address without its password.
func redacted(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "an address that is no URL"
	}
	return u.Redacted()
}

func port(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Port()
}

// table shows the status to a person. A service logs under its name.
func (st status) table() string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SERVICE\tSTATE\tPORT\tPID\tDEATHS\tLOG")
	dash := func(text string) string {
		if text == "" || text == "0" {
			return "-"
		}
		return text
	}
	for _, s := range st.Services {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s |\n", s.Name, s.State, dash(s.Port), dash(fmt.Sprint(s.PID)), s.Deaths, s.Name)
	}
	_ = t.Flush() // into memory
	note := map[bool]string{true: " (embedded)"}
	fmt.Fprintf(&b, "broker: %s%s\ndatabase: %s%s\n", st.Broker.Address, note[st.Broker.Embedded], st.Database.Address, note[st.Database.Embedded])
	fmt.Fprintf(&b, "viewed: %s (VIEWED_DELIVERY)", st.Viewed)
	return b.String()
}

// runServers builds the servers and runs them alone.
func runServers(ctx context.Context, c call) error {
	root, err := launch.Root(ctx)
	if err != nil {
		return err
	}
	args := []string{"run", "./flixtube/" + launch.Servers, "-data", c.data}
	if c.remove {
		args = append(args, "-remove")
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = root, c.stdout, os.Stderr
	cmd.Env = append(os.Environ(), "STOP_WITH_PARENT=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	cmd.Cancel = stdin.Close // go run does not forward signals
	if err := cmd.Run(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("servers: %w", err)
	}
	return nil
}
