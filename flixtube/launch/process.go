package launch

import (
	"context"
	"errors"
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
	Path string   // what to run; Path and Env may be changed while it is stopped
	Env  []string // its whole environment

	out   *Output
	lines *Lines        // what it writes
	grace time.Duration // it has this long to stop before it is killed

	mu      sync.Mutex
	running *os.Process
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
		keepRunning(ctx, p.run, func(why error) { p.out.Say("%s died (%v); restarting it", p.Name, why) })
	}()
}

// Stop asks the process to stop, kills it if it does not, and returns when it is gone.
func (p *Process) Stop() {
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

// PID is the process's number, or 0 while it does not run.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running == nil {
		return 0
	}
	return p.running.Pid
}

// started tells whether the process is kept running.
func (p *Process) started() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cancel != nil
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
	cmd := exec.CommandContext(ctx, p.Path)
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
	p.running = running
}
