// Package launch builds the seven services of FlixTube and runs them as child processes on this machine. The launcher
// and the tests of the whole system are built on it.
package launch

import (
	"context"
	"errors"
	"fmt"
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
	{"gateway", []string{"VIEWER_KEY", "VIEWER_KEY_FILE"}},
	{"video-streaming", []string{"RABBIT", "OUTBOX_DIR"}},
	{"history", []string{"RABBIT", "DBHOST", "DBNAME"}},
	{"recommendations", []string{"RABBIT", "DBHOST", "DBNAME"}},
	{"video-upload", []string{"RABBIT", "OUTBOX_DIR"}},
	{"video-storage", append([]string{"RABBIT", "VIDEOS_DIR"}, AzureVariables...)},
	{"metadata", []string{"RABBIT", "DBHOST", "DBNAME"}},
}

// AzureVariables name an Azure Blob Storage for the videos.
var AzureVariables = []string{"STORAGE_ACCOUNT_NAME", "STORAGE_ACCESS_KEY", "STORAGE_ENDPOINT"}

// Names are those of the services, in the order in which they are started.
func Names() []string {
	var names []string
	for _, s := range services {
		names = append(names, s.name)
	}
	return names
}

// Options say what to run, and where.
type Options struct {
	Bin    string // the folder that Build made
	Data   string // the folder of the services' own files
	Port   int    // the gateway's; 0 takes a free one
	Output *Output
}

// System is all services together.
type System struct {
	URL      string // the gateway's, as in http://localhost:4000
	Services map[string]*Service

	options Options
	client  *http.Client
}

// Service is one of the seven.
type Service struct {
	*Process
	Address string // as in http://127.0.0.1:20000
}

// New chooses a port for each service. It starts nothing; a gateway's port that is taken is an error.
func New(o Options) (*System, error) {
	ports, err := choosePorts(o.Port)
	if err != nil {
		return nil, err
	}
	s := &System{
		URL: "http://localhost:" + ports["gateway"], Services: map[string]*Service{}, options: o,
		client: &http.Client{Timeout: 4 * time.Second},
	}
	for _, name := range Names() {
		s.Services[name] = &Service{
			Process: NewProcess(name, filepath.Join(o.Bin, name+exe()), nil, o.Output),
			Address: "http://127.0.0.1:" + ports[name],
		}
	}
	return s, nil
}

// Configure gives every service its environment: that of this process, the addresses of the other services, and those of
// vars that the service needs. vars name the broker (RABBIT), the database (DBHOST), the store of the videos (VIDEOS_DIR or
// AzureVariables), and the key of the viewers' cookies (VIEWER_KEY or VIEWER_KEY_FILE).
func (s *System) Configure(vars map[string]string) {
	all := maps.Clone(vars)
	for name, service := range s.Services {
		all[strings.ToUpper(strings.ReplaceAll(name, "-", "_"))+"_URL"] = service.Address
	}
	for _, service := range services {
		own := maps.Clone(all)
		own["HOST"], own["PORT"], _ = strings.Cut(strings.TrimPrefix(s.Services[service.name].Address, "http://"), ":")
		own["DBNAME"] = service.name
		own["OUTBOX_DIR"] = filepath.Join(s.options.Data, "outbox", service.name)
		s.Services[service.name].Env = environment(os.Environ(), own, service.needs)
	}
}

// environment is that of a service: inherited and vars, without the keys and addresses that the service does not need.
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

// Start starts these services, or all if none is named. Configure goes before, and the caller calls Stop in the end.
func (s *System) Start(names ...string) {
	if len(names) == 0 {
		names = Names()
	}
	for _, name := range names {
		s.Services[name].Start()
	}
}

// WaitReady returns when every service that is started answers its /readyz with 200, or with the error of ctx.
func (s *System) WaitReady(ctx context.Context) error {
	said := time.Now()
	wait := backoff.Backoff{Min: 20 * time.Millisecond, Max: 200 * time.Millisecond}
	for {
		var waiting []string
		for _, name := range Names() {
			if service := s.Services[name]; service.started() && !s.ready(ctx, service) {
				waiting = append(waiting, name)
			}
		}
		if len(waiting) == 0 {
			return ctx.Err()
		}
		if time.Since(said) > 10*time.Second {
			said = time.Now()
			s.options.Output.Say("waiting for %s", strings.Join(waiting, ", "))
		}
		wait.Wait(ctx, errors.New("not ready"))
		if ctx.Err() != nil {
			return fmt.Errorf("wait for %s: %w", strings.Join(waiting, ", "), ctx.Err())
		}
	}
}

func (s *System) ready(ctx context.Context, service *Service) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, service.Address+"/readyz", nil)
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

// Stop ends the gateway, then the other services, and returns when they are gone.
func (s *System) Stop() {
	s.Services["gateway"].Stop() // first, so that its requests in flight still find the others
	var wg sync.WaitGroup
	for _, service := range s.Services {
		wg.Go(service.Stop)
	}
	wg.Wait()
}

// Build builds the services of the workspace around the current folder into the folder bin.
func Build(ctx context.Context, bin string, output *Output) error {
	out := output.Named("build")
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

// choosePorts gives every service a port. They are below those that systems give to outgoing connections, so that a
// service which is restarted finds its port still free.
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

// available is nil if the port is free, and no other server would answer a browser that asks for localhost, which may be
// ::1.
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
