package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"flixtube/chassis/backoff"
)

// services are the seven, in the order in which they are started, with the variables that each needs besides
// its address and those of the others.
var services = []struct {
	name  string
	needs []string
}{
	{"gateway", nil},
	{"video-streaming", []string{"RABBIT", "OUTBOX_DIR"}},
	{"history", []string{"RABBIT", "DBHOST", "DBNAME"}},
	{"recommendations", []string{"RABBIT", "DBHOST", "DBNAME"}},
	{"video-upload", []string{"RABBIT", "OUTBOX_DIR"}},
	{"video-storage", append([]string{"RABBIT", "VIDEOS_DIR"}, azureVariables...)},
	{"metadata", []string{"RABBIT", "DBHOST", "DBNAME"}},
}

var azureVariables = []string{"STORAGE_ACCOUNT_NAME", "STORAGE_ACCESS_KEY", "STORAGE_ENDPOINT"}

var errLocked = errors.New("locked by another process")

type options struct {
	data   string                       // the folder where everything is kept
	port   int                          // the gateway's; 0 is a free one
	getenv func(string) string          // says which servers to use instead of the embedded ones
	vars   map[string]map[string]string // further variables of a service, by its name
	absent []string                     // services that are not started yet
	seed   bool                         // upload the samples into an empty library
	out    io.Writer
}

// system is the running whole.
type system struct {
	url       string            // the gateway's, as in http://localhost:4000
	addresses map[string]string // of the services by name, as in http://127.0.0.1:20000
	processes map[string]*child

	options
	output *output
	say    func(string, ...any)
	client *http.Client
	ended  []func() // what stop has to do after the services, the last first
}

// start runs everything and returns when it is ready. Someone must stop it.
func start(ctx context.Context, o options) (*system, error) {
	s := &system{
		options: o, output: newOutput(o.out), client: &http.Client{Timeout: 10 * time.Minute},
		addresses: map[string]string{}, processes: map[string]*child{},
	}
	s.say = s.output.named("flixtube").say
	if err := s.start(ctx); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *system) start(ctx context.Context) error {
	ports, err := choosePorts(s.port)
	if err != nil {
		return err
	}
	s.url = "http://localhost:" + ports["gateway"]
	unlock, err := lock(s.data)
	if err != nil {
		return err
	}
	s.ended = append(s.ended, unlock)

	s.say("building the services; the first time this takes a while")
	bin := filepath.Join(s.data, "bin")
	if err := build(ctx, bin, s.output.named("build")); err != nil {
		return err
	}
	vars, err := s.startServers()
	if err != nil {
		return err
	}
	for name, port := range ports {
		s.addresses[name] = "http://127.0.0.1:" + port
		vars[strings.ToUpper(strings.ReplaceAll(name, "-", "_"))+"_URL"] = s.addresses[name]
	}
	for _, service := range services {
		own := maps.Clone(vars)
		own["HOST"], own["PORT"] = "127.0.0.1", ports[service.name]
		own["DBNAME"] = service.name
		own["OUTBOX_DIR"] = filepath.Join(s.data, "outbox", service.name)
		env := environment(os.Environ(), own, service.needs)
		for name, value := range s.vars[service.name] {
			env = append(env, name+"="+value)
		}
		p := newChild(service.name, filepath.Join(bin, service.name+exe()), env, s.output.named(service.name), s.say)
		s.processes[service.name] = p
		if !slices.Contains(s.absent, service.name) {
			p.start()
		}
	}
	if err := s.waitReady(ctx); err != nil {
		return err
	}
	if s.seed {
		if err := s.seedSamples(ctx); err != nil {
			s.say("the sample videos are not there: %v", err)
		}
	}
	return ctx.Err()
}

// startServers starts the servers that the environment does not name, and returns the variables that lead
// to all of them.
func (s *system) startServers() (map[string]string, error) {
	log := slog.New(slog.NewTextHandler(s.output.named("servers"), &slog.HandlerOptions{Level: slog.LevelWarn}))
	vars := map[string]string{}
	for _, name := range append([]string{"RABBIT", "DBHOST", "VIDEOS_DIR"}, azureVariables...) {
		if value := s.getenv(name); value != "" {
			vars[name] = value
		}
	}
	if vars["DBHOST"] == "" {
		address, stop, err := startDatabase(filepath.Join(s.data, "db"), log)
		if err != nil {
			return nil, err
		}
		vars["DBHOST"], s.ended = address, append(s.ended, stop)
	}
	if vars["RABBIT"] == "" {
		address, stop, err := startBroker(filepath.Join(s.data, "nats"), true, log)
		if err != nil {
			return nil, err
		}
		vars["RABBIT"], s.ended = address, append(s.ended, stop)
		if err := s.tellAddress(address); err != nil {
			return nil, err
		}
	}
	given := func(name string) bool { return vars[name] != "" }
	if !given("VIDEOS_DIR") && !slices.ContainsFunc(azureVariables, given) {
		vars["VIDEOS_DIR"] = filepath.Join(s.data, "videos")
	}
	return vars, nil
}

// tellAddress lets "flixtube dead" find the broker for as long as it runs.
func (s *system) tellAddress(broker string) error {
	file := filepath.Join(s.data, addressFile)
	if err := os.WriteFile(file, []byte(broker), 0o600); err != nil {
		return err
	}
	s.ended = append(s.ended, func() { _ = os.Remove(file) })
	return nil
}

// environment is that of a service: what the launcher itself was given, without keys and addresses that are
// not for this service, and what it gets from vars.
func environment(inherited []string, vars map[string]string, needs []string) []string {
	var restricted []string
	for _, s := range services {
		restricted = append(restricted, s.needs...)
	}
	kept := func(name string) bool { return !slices.Contains(restricted, name) || slices.Contains(needs, name) }
	var env []string
	for _, v := range inherited {
		if name, _, _ := strings.Cut(v, "="); kept(name) && vars[name] == "" {
			env = append(env, v)
		}
	}
	for name, value := range vars {
		if kept(name) {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// waitReady returns when every service that is started answers its /readyz with 200.
func (s *system) waitReady(ctx context.Context) error {
	said := time.Now()
	for {
		var waiting []string
		for _, service := range services {
			if !slices.Contains(s.absent, service.name) && !s.ready(ctx, service.name) {
				waiting = append(waiting, service.name)
			}
		}
		if len(waiting) == 0 {
			return nil
		}
		if time.Since(said) > 10*time.Second {
			said = time.Now()
			s.say("waiting for %s", strings.Join(waiting, ", "))
		}
		if backoff.Sleep(ctx, 50*time.Millisecond); ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

func (s *system) ready(ctx context.Context, service string) bool {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.addresses[service]+"/readyz", nil)
	if err != nil {
		return false
	}
	res, err := s.client.Do(req)
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// stop ends the gateway, then the other services, then the servers. Nothing is left running.
func (s *system) stop() {
	if p := s.processes["gateway"]; p != nil {
		p.stop() // first, so that what is in flight in it still finds the others
	}
	var wg sync.WaitGroup
	for _, p := range s.processes {
		wg.Go(p.stop)
	}
	wg.Wait()
	for _, end := range slices.Backward(s.ended) {
		end()
	}
}

// lock makes the folder and keeps other launchers out of it until unlock.
func lock(data string) (unlock func(), err error) {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	file, err := lockFile(filepath.Join(data, "lock"))
	if errors.Is(err, errLocked) {
		return nil, fmt.Errorf("%s is in use by another flixtube; choose another folder with -data", data)
	}
	if err != nil {
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	return func() { _ = file.Close() }, nil
}

// build builds the services of the workspace around the current folder into bin.
func build(ctx context.Context, bin string, out *lines) error {
	defer out.Flush()
	found, err := exec.CommandContext(ctx, "go", "env", "GOWORK").Output()
	root := filepath.Dir(strings.TrimSpace(string(found)))
	if err != nil || !filepath.IsAbs(root) {
		return errors.New("no go.work here: run flixtube inside its repository")
	}
	args := []string{"build", "-o", bin + string(filepath.Separator)}
	for _, s := range services {
		args = append(args, "./"+s.name)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build the services: %w", err)
	}
	return nil
}

func exe() string {
	if runtime.GOOS == "windows" {
		return ".exe"
	}
	return ""
}

// choosePorts gives every service a port. They are below those that systems hand out by themselves, so that
// a service that is started again finds its own still free.
func choosePorts(gateway int) (map[string]string, error) {
	ports := map[string]string{}
	next := 20000 + rand.IntN(12000)
	for _, s := range services {
		if s.name == "gateway" && gateway != 0 {
			if err := available(gateway); err != nil {
				return nil, fmt.Errorf("gateway: %w; choose another with -port", err)
			}
			ports[s.name] = strconv.Itoa(gateway)
			continue
		}
		for next++; available(next) != nil; next++ {
			if next > 32700 {
				return nil, fmt.Errorf("%s: no port is free", s.name)
			}
		}
		ports[s.name] = strconv.Itoa(next)
	}
	return ports, nil
}

// available is nil if the port can be had and a browser that is sent to localhost, which may be ::1, would meet
// nobody else there.
func available(port int) error {
	number := strconv.Itoa(port)
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", number))
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("port %d is not allowed", port)
	}
	if err != nil {
		return fmt.Errorf("port %d is taken", port)
	}
	listener.Close()
	conn, err := net.DialTimeout("tcp", net.JoinHostPort("localhost", number), time.Second)
	if err == nil {
		conn.Close()
		return fmt.Errorf("port %d is taken", port)
	}
	return nil
}
