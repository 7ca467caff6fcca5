//go:build unix

package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// killOthers kills the processes that run the binary of this one. It needs Linux's /proc.
func killOthers() error {
	own, err := os.Executable()
	if err != nil {
		return err
	}
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return err
	}
	for _, link := range links {
		pid, numErr := strconv.Atoi(filepath.Base(filepath.Dir(link)))
		target, linkErr := os.Readlink(link)
		if numErr != nil || linkErr != nil || target != own || pid == os.Getpid() {
			continue // another program, or one that ended
		}
		if killErr := syscall.Kill(pid, syscall.SIGKILL); killErr != nil {
			err = errors.Join(err, fmt.Errorf("kill process %d: %w", pid, killErr))
		}
	}
	return err
}
