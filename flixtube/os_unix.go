//go:build unix

package main

import (
	"context"
	"io"
	"os"
	"syscall"
	"time"

	"flixtube/chassis/backoff"
)

// ownGroup keeps the terminal's Ctrl-C from the children: the launcher stops them, in its order.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// askToStop leaves stdin open: its end would make a service deaf to the signal that may still be on its way.
func askToStop(p *os.Process, _ io.Closer) error { return p.Signal(syscall.SIGTERM) }

// lockFile opens a file for this process alone. The lock goes with the process.
func lockFile(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		return nil, errLocked
	}
	return f, nil
}

// awaitParent returns when the process that started this one is gone, or ctx is done.
func awaitParent(ctx context.Context) {
	for parent := os.Getppid(); os.Getppid() == parent && ctx.Err() == nil; {
		backoff.Sleep(ctx, 200*time.Millisecond)
	}
}
