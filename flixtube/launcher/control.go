package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"flixtube/flixtube/launch"
)

// The control socket, in the data folder, is how the other commands reach the running site:
//
//	GET  /status         the status
//	POST /NAME/ACTION    acts on a service, and answers with one line about it
const controlFile = "control"

// longestSocket is how long the path of a socket may be in bytes; on macOS it is a little less than elsewhere.
const longestSocket = 103

// readyTimeout is how long start and restart wait for a service to be ready.
const readyTimeout = 30 * time.Second

// control makes the socket and answers on it until stop. Only this user can open it.
func (s *site) control(folder string) (stop func(), err error) {
	path := filepath.Join(folder, controlFile)
	if len(path) > longestSocket {
		return nil, fmt.Errorf("%s is too long for a socket, %d bytes are possible; choose a shorter folder with -data", path, longestSocket)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) { // that of a launcher that was killed
		return nil, fmt.Errorf("control socket: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	server := &http.Server{Handler: s.controlHandler(), ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(listener) }()
	return func() { _ = server.Close() }, nil // which removes the socket
}

func (s *site) controlHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(s.status())
	})
	mux.HandleFunc("POST /{name}/{action}", func(w http.ResponseWriter, req *http.Request) {
		line, err := s.act(req.Context(), req.PathValue("name"), req.PathValue("action"))
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if err != nil {
			w.WriteHeader(http.StatusConflict)
			line = err.Error()
		}
		_, _ = io.WriteString(w, line) //nolint:gosec // G705: plain text, to our own command
	})
	return mux
}

// actions by the name of their command. They return the new state.
var actions = map[string]func(ctx context.Context, s *site, p *launch.Process) (string, error){
	"stop": func(_ context.Context, _ *site, p *launch.Process) (string, error) {
		p.Stop()
		return "stopped, until: go run ./flixtube start " + p.Name, nil
	},
	"start": func(ctx context.Context, s *site, p *launch.Process) (string, error) {
		p.Start()
		return s.awaitReady(ctx, p)
	},
	"restart": func(ctx context.Context, s *site, p *launch.Process) (string, error) {
		p.Stop()
		p.Start()
		return s.awaitReady(ctx, p)
	},
	"kill": func(_ context.Context, _ *site, p *launch.Process) (string, error) {
		return "killed; the launcher restarts it", p.Kill()
	},
	"pause": func(_ context.Context, _ *site, p *launch.Process) (string, error) {
		return "paused, until: go run ./flixtube resume " + p.Name, p.Pause()
	},
	"resume": func(_ context.Context, _ *site, p *launch.Process) (string, error) {
		return "running again", p.Resume()
	},
}

// act does one thing at a time, so that a start does not overtake a stop.
func (s *site) act(ctx context.Context, name, action string) (line string, err error) {
	do := actions[action]
	if do == nil {
		return "", fmt.Errorf("there is no action %q", action)
	}
	p, err := s.process(name)
	if err != nil {
		return "", err
	}
	s.acting.Lock()
	defer s.acting.Unlock()
	state, err := do(ctx, s, p)
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", action, name, err)
	}
	line = name + " is " + state
	s.output.Say("%s", line)
	return line, nil
}

func (s *site) process(name string) (*launch.Process, error) {
	if name == launch.Servers && len(s.system.Servers.Args) > 0 {
		return s.system.Servers, nil
	}
	if service := s.system.Services[name]; service != nil {
		return service.Process, nil
	}
	return nil, fmt.Errorf("there is no service %q; there are %s", name, strings.Join(append(launch.Names(), launch.Servers), ", "))
}

func (s *site) awaitReady(ctx context.Context, p *launch.Process) (state string, err error) {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := s.system.WaitReady(ctx, p.Name); err != nil {
		return "", fmt.Errorf("it runs, and is not ready after %v; its log says why", readyTimeout)
	}
	return fmt.Sprintf("ready, process %d", p.PID()), nil
}

// errNotRunning is why no site answers on a data folder.
var errNotRunning = errors.New("start it, or name the folder of another with -data")

// ask sends a request to the site that runs on a data folder, and returns its answer. The caller closes the body.
func ask(ctx context.Context, folder, method, path string) (*http.Response, error) {
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(folder, controlFile))
	}}}
	req, err := http.NewRequestWithContext(ctx, method, "http://flixtube"+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := client.Do(req)
	if errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("the flixtube on %s is another user's", folder)
	}
	if err != nil {
		return nil, fmt.Errorf("no flixtube runs on %s: %w", folder, errNotRunning)
	}
	return res, nil
}

func askStatus(ctx context.Context, folder string) (st status, err error) {
	res, err := ask(ctx, folder, http.MethodGet, "/status")
	if err != nil {
		return status{}, err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&st); err != nil {
		return status{}, fmt.Errorf("ask the flixtube on %s for its status: %w", folder, err)
	}
	return st, nil
}

func showStatus(ctx context.Context, c call) error {
	st, err := askStatus(ctx, c.data)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.stdout, "%s\nsite: %s\n", st.table(), st.URL)
	return err
}

// callAction asks the running site to act on a service.
func callAction(ctx context.Context, c call, action string) error {
	if len(c.args) != 1 || !slices.Contains(append(launch.Names(), launch.Servers), c.args[0]) {
		return usageError(fmt.Sprintf("usage: go run ./flixtube %s NAME, which is one of %s",
			action, strings.Join(append(launch.Names(), launch.Servers), ", ")))
	}
	res, err := ask(ctx, c.data, http.MethodPost, "/"+c.args[0]+"/"+action)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	line, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", action, c.args[0], err)
	}
	if res.StatusCode != http.StatusOK {
		return errors.New(string(line))
	}
	_, err = fmt.Fprintln(c.stdout, string(line))
	return err
}
