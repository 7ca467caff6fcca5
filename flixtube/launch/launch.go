// Package launch builds the seven services of FlixTube and runs them as child processes on this machine, with the embedded
// broker and database. The launcher and the tests of the whole system are built on it.
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

// Servers is the name of the program that has the embedded broker and database.
const Servers = "servers"

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
	Servers  *Process // the embedded broker and database

	options Options
	servers map[string]string // their addresses, by the variables of the services
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
		Servers: NewProcess(Servers, filepath.Join(o.Bin, Servers+exe()), os.Environ(), o.Output),
		servers: map[string]string{
			"DBHOST": "mongodb://127.0.0.1:" + ports["DBHOST"],
			"RABBIT": "nats://127.0.0.1:" + ports["RABBIT"],
		},
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

// serverNames are those of the embedded servers in their program's flags, by the services' variables.
var serverNames = map[string]string{"DBHOST": "database", "RABBIT": "broker"}

// StartServers runs the servers that vars do not name yet, and adds their addresses to vars. It returns once they listen.
func (s *System) StartServers(ctx context.Context, vars map[string]string) error {
	s.Servers.Args = []string{"-data", s.options.Data}
	started := map[string]string{}
	for variable, name := range serverNames {
		if vars[variable] != "" {
			s.Servers.Args = append(s.Servers.Args, "-"+name+"=false")
			continue
		}
		_, port, _ := strings.Cut(s.servers[variable], "127.0.0.1:")
		s.Servers.Args = append(s.Servers.Args, "-"+name+"-port", port)
		started[variable] = s.servers[variable]
	}
	if len(started) == 0 {
		return nil
	}
	s.Servers.Start()
	wait := backoff.Backoff{Min: 20 * time.Millisecond, Max: 200 * time.Millisecond}
	for !s.ready(ctx, Servers) {
		if s.Servers.Status().Deaths > 0 {
			return errors.New("the broker and the database do not start; the lines above say why")
		}
		if wait.Wait(ctx, errors.New("not listening")); ctx.Err() != nil {
			return ctx.Err()
		}
	}
	maps.Copy(vars, started)
	return nil
}

// Embedded tells whether RABBIT or DBHOST of the services is one of the servers that StartServers has started.
func (s *System) Embedded(variable string) bool {
	return slices.Contains(s.Servers.Args, "-"+serverNames[variable]+"-port")
}

// listening tells whether the server at a URL accepts connections.
func listening(address string) bool {
	_, address, _ = strings.Cut(address, "://")
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
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

// WaitReady returns when these services, or every service that is started if none is named, answer /readyz with 200, or with
// the error of ctx.
func (s *System) WaitReady(ctx context.Context, names ...string) error {
	if len(names) == 0 {
		names = slices.DeleteFunc(Names(), func(name string) bool { return s.Services[name].Status().State == "stopped" })
	}
	said := time.Now()
	wait := backoff.Backoff{Min: 20 * time.Millisecond, Max: 200 * time.Millisecond}
	for {
		var waiting []string
		for _, name := range names {
			if !s.ready(ctx, name) {
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

func (s *System) ready(ctx context.Context, name string) bool {
	service := s.Services[name]
	if service == nil { // the servers
		return !slices.ContainsFunc(slices.Collect(maps.Keys(serverNames)), func(variable string) bool {
			return s.Embedded(variable) && !listening(s.servers[variable])
		})
	}
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

// Stop ends the gateway, then the other services, then the servers, and returns when they are gone.
func (s *System) Stop() {
	s.Services["gateway"].Stop() // first, so that its requests in flight still find the others
	var wg sync.WaitGroup
	for _, service := range s.Services {
		wg.Go(service.Stop)
	}
	wg.Wait()
	s.Servers.Stop()
}

// Build builds the services and the servers, those in the workspace around the current folder, into the folder bin. It says
// when each is built, unless that was up to date.
func Build(ctx context.Context, bin string, output *Output) error {
	root, err := Root(ctx)
	if err != nil {
		return err
	}
	report := reportBuilt(bin, output)
	defer report()
	return BuildFolders(ctx, root, bin, output, append(Names(), "flixtube/"+Servers)...)
}

// BuildFolders builds the programs in some folders of the workspace root into the folder bin. What the compiler says goes to
// output.
func BuildFolders(ctx context.Context, root, bin string, output *Output, folders ...string) error {
	// Without -buildvcs=false the first change after a commit would make every program another one. Without the information
	// for debuggers (-w) a change of one line is built with a fifth less CPU.
	args := []string{"build", "-buildvcs=false", "-ldflags=-w", "-o", bin + string(filepath.Separator)}
	for _, folder := range folders {
		args = append(args, "./"+folder)
	}
	out := output.Named("build")
	defer out.Flush()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build the services: %w", err)
	}
	return nil
}

// Root is the folder of the workspace around the current folder.
func Root(ctx context.Context) (string, error) {
	found, err := exec.CommandContext(ctx, "go", "env", "GOWORK").Output()
	root := filepath.Dir(strings.TrimSpace(string(found)))
	if err != nil || !filepath.IsAbs(root) {
		return "", errors.New("no go.work here: run flixtube inside its repository")
	}
	return root, nil
}

// reportBuilt says which programs in the folder bin are new, each when it is there, until end is called. One go build for
// all of them is faster than one for each, but tells nothing meanwhile.
func reportBuilt(bin string, output *Output) (end func()) {
	began := time.Now()
	before := map[string]os.FileInfo{}
	look := func(say func(name string)) {
		for _, name := range append(Names(), Servers) {
			info, err := os.Stat(filepath.Join(bin, name+exe()))
			old := before[name]
			if err != nil || old != nil && os.SameFile(old, info) && old.Size() == info.Size() {
				continue
			}
			before[name] = info
			say(name)
		}
	}
	look(func(string) {})
	say := func(name string) { output.Say("built %s after %.1f s", name, time.Since(began).Seconds()) }
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				look(say)
			case <-stop:
				look(say)
				return
			}
		}
	}()
	return func() { close(stop); <-stopped }
}

func exe() string {
	if runtime.GOOS == "windows" {
		return ".exe"
	}
	return ""
}

// choosePorts gives every service a port, and the embedded servers one each, under the variables of their addresses. They are below those that systems give to outgoing connections, so that a
// service which is restarted finds its port still free.
func choosePorts(gateway int) (map[string]string, error) {
	ports := map[string]string{}
	next := 20000 + rand.IntN(12000)
	for _, name := range append(Names(), "DBHOST", "RABBIT") {
		if name == "gateway" && gateway != 0 {
			if err := available(gateway); err != nil {
				return nil, fmt.Errorf("gateway: %w; choose another with -port", err)
			}
			ports[name] = strconv.Itoa(gateway)
			continue
		}
		for next++; available(next) != nil; next++ {
			if next > 32700 {
				return nil, fmt.Errorf("%s: no port is free", name)
			}
		}
		ports[name] = strconv.Itoa(next)
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
