//go:build unix

package workshop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"flixtube/chassis/chassistest"
)

const (
	appearTimeout = 5 * time.Minute  // for something to appear
	longestSteps  = 15 * time.Minute // for a block of commands

	shortTimeout = 3 * time.Second // in the tests of the harness itself
)

// reader does what a text says.
type reader struct {
	repository string
	home, dir  string // ~ and ~/workshop
	text       string // the folder of the chapter
	update     bool   // pictures go into that folder
	env        []string
	browser    *browser
	limit      time.Duration // for something to appear
	log        func(format string, args ...any)
	instead    []substitution

	terminals map[string]*terminal
	output    string // of the last commands
	changed   string // the file that was changed last,
	before    string // and what it was
	address   string // that was opened last
}

func newReader(repository, chapter, home string) (*reader, error) {
	names := []string{"GOENV", "GOPATH", "GOCACHE", "GOMODCACHE"}
	values, err := exec.Command("go", append([]string{"env"}, names...)...).Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	env := append(os.Environ(), "HOME="+home, "GOWORK=", "LC_ALL=C.UTF-8")
	for i, value := range strings.Split(strings.TrimSpace(string(values)), "\n") {
		env = append(env, names[i]+"="+value)
	}
	return &reader{
		repository: repository, home: home, dir: filepath.Join(home, "workshop"), text: chapter, env: env,
		terminals: map[string]*terminal{},
		limit:     appearTimeout,
		log:       func(string, ...any) {},
	}, nil
}

// do follows the steps up to the first that fails, or until ctx is done. Nothing that a step started runs on afterwards.
func (r *reader) do(ctx context.Context, steps []step) (err error) {
	defer func() {
		for name, t := range r.terminals {
			if !t.running() {
				continue
			}
			if err == nil {
				err = fmt.Errorf("the text ends, and %s still runs in its terminal", name)
			}
			err = errors.Join(err, t.stop(syscall.SIGINT)) // which reaches what runs in groups of its own, too
		}
	}()
	for _, s := range steps {
		started := time.Now()
		err := ctx.Err()
		if err == nil {
			err = r.step(ctx, s)
		}
		if err != nil {
			return fmt.Errorf("line %d: %s %s: %w", s.line, s.kind, s.name, err)
		}
		r.log("line %d: %s %s: %v", s.line, s.kind, s.name, time.Since(started).Round(time.Millisecond))
	}
	return nil
}

func (r *reader) step(ctx context.Context, s step) error {
	path := filepath.Join(r.dir, filepath.FromSlash(s.name))
	switch s.kind {
	case "sh":
		return r.run(ctx, s)
	case "terminal":
		return r.start(s)
	case "stop":
		return r.stop(s.name)
	case "stopall":
		for name, t := range r.terminals {
			if t.running() {
				if err := r.stop(name); err != nil {
					return err
				}
			}
		}
		return nil
	case "output":
		if s.name != "" {
			return r.wait(s)
		}
		if !regexp.MustCompile(`\A` + pattern(s.text) + `\z`).MatchString(strings.TrimRight(r.output, "\n") + "\n") {
			return fmt.Errorf("the commands wrote\n%s\nand the text says\n%s", r.output, s.text)
		}
		return nil
	case "file":
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return os.WriteFile(path, []byte(s.text), 0o600)
	case "diff":
		old, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		r.changed, r.before = path, string(old)
		changed, err := change(string(old), s.text)
		if err != nil {
			return err
		}
		return os.WriteFile(path, []byte(changed), 0o600)
	case "undo":
		return os.WriteFile(r.changed, []byte(r.before), 0o600)
	case "open":
		r.address = s.name
		return r.browser.open(s.name)
	case "login":
		return r.browser.login(s.name, s.text)
	case "page":
		return r.browser.shows(s.text)
	case "picture":
		if r.address == "" {
			return errors.New("a picture, and no page was opened")
		}
		return r.picture(s.name)
	}
	return errors.New("nothing does this")
}

// picture takes the one that the text shows.
func (r *reader) picture(name string) error {
	path := filepath.Join(r.text, name)
	picture, err := r.browser.picture()
	if err != nil {
		return err
	}
	if r.update {
		return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, picture, 0o600))
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is missing: take it with -update", name)
	}
	return nil
}

// command is one of bash, in a process group of its own.
func (r *reader) command(ctx context.Context, s step) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "bash", "-eo", "pipefail", "-c", s.text)
	cmd.Env, cmd.Dir = r.env, r.dir
	if s.name == "repository" {
		cmd.Dir = r.repository
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}

func (r *reader) run(ctx context.Context, s step) error {
	ctx, cancel := context.WithTimeout(ctx, longestSteps)
	defer cancel()
	s.text = r.substitute(s.text)
	output, err := r.command(ctx, s).CombinedOutput()
	output = builderWarning.ReplaceAll(output, nil)
	r.output = string(output)
	var exit *exec.ExitError
	if s.name == "fails" {
		if err == nil {
			return fmt.Errorf("it did not fail, and wrote\n%s", output)
		}
		if errors.As(err, &exit) && ctx.Err() == nil {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("%w\n%s\n%s", err, s.text, output)
	}
	return nil
}

// terminal is one in which something runs.
type terminal struct {
	cmd   *exec.Cmd
	ended chan struct{}

	mu      sync.Mutex
	written bytes.Buffer
	seen    int // what the text has shown of it
}

func (t *terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.written.Write(p)
}

func (t *terminal) output() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.written.String()
}

func (t *terminal) running() bool {
	select {
	case <-t.ended:
		return false
	default:
		return true
	}
}

// stop sends a signal to everything that runs in the terminal and waits for its end.
func (t *terminal) stop(signal syscall.Signal) error {
	if err := syscall.Kill(-t.cmd.Process.Pid, signal); err != nil {
		return err
	}
	select {
	case <-t.ended:
		return nil
	case <-time.After(30 * time.Second):
		return errors.Join(errors.New("it does not end"), syscall.Kill(-t.cmd.Process.Pid, syscall.SIGKILL))
	}
}

func (r *reader) start(s step) error {
	if t := r.terminals[s.name]; t != nil && t.running() {
		return errors.New("something runs in this terminal: the text has forgotten a Ctrl-C")
	}
	cmd := r.command(context.Background(), step{text: s.text})
	t := &terminal{cmd: cmd, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = t, t
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		_ = cmd.Wait() // a Ctrl-C ends most programs with an error
		close(t.ended)
	}()
	r.terminals[s.name] = t
	return nil
}

func (r *reader) stop(name string) error {
	t := r.terminals[name]
	if t == nil || !t.running() {
		return fmt.Errorf("nothing runs in the terminal %s", name)
	}
	return t.stop(syscall.SIGINT)
}

// wait waits until the terminal shows the text, after what was shown of it before.
func (r *reader) wait(s step) error {
	t := r.terminals[s.name]
	if t == nil {
		return errors.New("there is no such terminal")
	}
	shown := regexp.MustCompile(`(?m)^` + pattern(s.text))
	return chassistest.Poll(r.limit, func() error {
		ended := !t.running()
		output := t.output()
		if at := shown.FindStringIndex(output[t.seen:]); at != nil {
			t.seen += at[1]
			return nil
		}
		err := fmt.Errorf("it shows\n%s\nand the text says\n%s", tail(output[t.seen:]), s.text)
		if ended {
			err = fmt.Errorf("it has ended: %w", err)
		}
		return err
	})
}

func tail(s string) string { return s[max(0, len(s)-2000):] }
