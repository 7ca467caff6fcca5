package main

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"flixtube/chassis/process"
)

// child is a service that runs as a child, and is started again when it dies.
type child struct {
	name string
	path string
	env  []string
	out  *lines               // its output
	say  func(string, ...any) // what the launcher has to say about it

	firstPause, lastPause time.Duration // before it is started again: the pause doubles each time
	healthy               time.Duration // having run so long, it has earned the first pause again
	grace                 time.Duration // what it has to stop in, before it is killed

	mu      sync.Mutex
	running *os.Process
	cancel  context.CancelFunc // nil: it is not wanted now
	ended   chan struct{}
}

func newChild(name, path string, env []string, out *lines, say func(string, ...any)) *child {
	return &child{
		name: name, path: path, env: append(slices.Clip(env), "STOP_WITH_PARENT=1"), out: out, say: say,
		firstPause: 200 * time.Millisecond, lastPause: 10 * time.Second, healthy: 30 * time.Second,
		grace: process.DrainTime + 5*time.Second,
	}
}

// start keeps the service running until stop.
func (p *child) start() {
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
		p.supervise(ctx)
	}()
}

// stop asks the service to stop, kills it if it does not, and returns when it is gone.
func (p *child) stop() {
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

// kill ends the service as kill -9 does. It will be started again.
func (p *child) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running != nil {
		_ = p.running.Kill() // fails if it is dead already
	}
}

func (p *child) supervise(ctx context.Context) {
	pause := p.firstPause
	for {
		began := time.Now()
		err := p.run(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) >= p.healthy {
			pause = p.firstPause
		}
		why := "exit status 0"
		if err != nil {
			why = err.Error()
		}
		p.say("%s died (%s); starting it again in %v", p.name, why, pause)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, p.lastPause)
	}
}

// run starts the service once and waits for its end.
func (p *child) run(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, p.path)
	cmd.Env = p.env
	cmd.Stdout, cmd.Stderr = p.out, p.out
	cmd.SysProcAttr = ownGroup()
	stdin, err := cmd.StdinPipe() // its end tells the service that the launcher is gone, however that came
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
	p.out.Flush()
	if ctx.Err() != nil && !cmd.ProcessState.Success() {
		p.say("%s did not stop cleanly: %v", p.name, cmd.ProcessState)
	}
	return err
}

func (p *child) setRunning(running *os.Process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running = running
}
