package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"flixtube/chassis/backoff"
	"flixtube/chassis/process"
)

// Process is a program that runs as a child process, and is restarted when it ends by itself.
type Process struct {
	Name string
	Path string   // what to run; Path, Args and Env may be changed while it is stopped
	Args []string // its arguments
	Env  []string // its whole environment

	out   *Output
	lines *Lines        // what it writes
	grace time.Duration // it has this long to stop before it is killed

	mu      sync.Mutex
	running *os.Process
	paused  bool
	deaths  int
	cancel  context.CancelFunc // nil while it is stopped
	ended   chan struct{}
}

// NewProcess makes a process that is not started yet. Whatever it writes goes to out, line by line under its name.
func NewProcess(name, path string, env []string, out *Output) *Process {
	return &Process{
		Name: name, Path: path, Env: env,
		out: out, lines: out.Named(name), grace: process.DrainTime + 5*time.Second,
	}
}

// Start keeps the process running until Stop.
func (p *Process) Start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cancel != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	p.cancel, p.ended = cancel, ended
	go func() {
		defer close(ended)
		keepRunning(ctx, p.run, p.died)
	}()
}

func (p *Process) died(why error) {
	p.mu.Lock()
	p.deaths++
	p.mu.Unlock()
	p.out.Say("%s died (%v); restarting it", p.Name, why)
}

// Stop asks the process to stop, kills it if it does not, and returns when it is gone.
func (p *Process) Stop() {
	_ = p.Resume() // a paused process is deaf
	p.mu.Lock()
	cancel, ended := p.cancel, p.ended
	p.cancel = nil
	p.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	if ended != nil {
		<-ended
	}
}

// Kill ends the process without notice. It is restarted.
func (p *Process) Kill() error {
	return p.whileRunning(func(running *os.Process) error { return running.Kill() })
}

// Pause stops the process in the middle of its work, until Resume: it keeps its connections, and answers nothing.
func (p *Process) Pause() error {
	return p.whileRunning(func(running *os.Process) error {
		err := pause(running)
		p.paused = err == nil
		return err
	})
}

// Resume ends a Pause.
func (p *Process) Resume() error {
	return p.whileRunning(func(running *os.Process) error {
		if !p.paused {
			return nil
		}
		p.paused = false
		return resume(running)
	})
}

func (p *Process) whileRunning(f func(*os.Process) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running == nil {
		return fmt.Errorf("%s does not run", p.Name)
	}
	return f(p.running)
}

// Status is how a process is at one moment.
type Status struct {
	Name   string
	State  string // stopped, running, paused or restarting
	PID    int    // 0 while it does not run
	Deaths int    // how often it ended by itself
}

// Status returns how the process is now.
func (p *Process) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Status{Name: p.Name, State: "running", Deaths: p.deaths}
	switch {
	case p.cancel == nil:
		s.State = "stopped"
	case p.running == nil:
		s.State = "restarting"
	case p.paused:
		s.State = "paused"
	}
	if p.running != nil {
		s.PID = p.running.Pid
	}
	return s
}

// PID is the process's number, or 0 while it does not run.
func (p *Process) PID() int {
	return p.Status().PID
}

const (
	firstWait = 200 * time.Millisecond // before the first restart
	longest   = 10 * time.Second       // before any restart
	healthy   = 30 * time.Second       // a run of this length starts the waits over
)

// keepRunning runs until ctx is done, and waits longer and longer between runs that are short.
func keepRunning(ctx context.Context, run func(context.Context) error, died func(why error)) {
	wait := backoff.Backoff{Min: firstWait, Max: longest}
	for {
		began := time.Now()
		err := run(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("exit status 0")
		}
		died(err)
		if time.Since(began) >= healthy {
			wait.Wait(ctx, nil)
		}
		wait.Wait(ctx, err)
	}
}

// run starts the program once and waits for its end.
func (p *Process) run(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, p.Path, p.Args...)
	cmd.Env = append(slices.Clip(p.Env), "STOP_WITH_PARENT=1")
	cmd.Stdout, cmd.Stderr = p.lines, p.lines
	cmd.SysProcAttr = ownGroup()
	stdin, err := cmd.StdinPipe() // its end tells the service that the launcher is gone, however that happened
	if err != nil {
		return err
	}
	cmd.Cancel = func() error { return askToStop(cmd.Process, stdin) }
	cmd.WaitDelay = p.grace
	if err := cmd.Start(); err != nil {
		return err
	}
	p.setRunning(cmd.Process)
	err = cmd.Wait()
	p.setRunning(nil)
	p.lines.Flush()
	if ctx.Err() != nil && !cmd.ProcessState.Success() {
		p.out.Say("%s did not stop cleanly: %v", p.Name, cmd.ProcessState)
	}
	return err
}

func (p *Process) setRunning(running *os.Process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running, p.paused = running, false
}
