package main

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
)

// ownGroup keeps the terminal's Ctrl-C from the children: the launcher stops them, in its order.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// askToStop ends the service's standard input, as there is no SIGTERM.
func askToStop(_ *os.Process, stdin io.Closer) error { return stdin.Close() }

// lockFile opens a file for this process alone. The lock goes with the process.
func lockFile(path string) (io.Closer, error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	const sharedWithNobody = 0
	h, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, sharedWithNobody, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, syscall.Errno(32)) { // ERROR_SHARING_VIOLATION
		return nil, errLocked
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(h), path), nil
}

// awaitParent returns when the process that started this one is gone; if it cannot be watched, when ctx is done. Here
// any process can be waited for, and the parent's number stays the same without it.
func awaitParent(ctx context.Context) {
	if parent, err := os.FindProcess(os.Getppid()); err == nil {
		_, err = parent.Wait()
		if err == nil {
			return
		}
	}
	<-ctx.Done()
}
