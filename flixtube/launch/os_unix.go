//go:build unix

package launch

import (
	"io"
	"os"
	"syscall"
)

// ownGroup keeps the terminal's Ctrl-C from the children: the launcher stops them, in its order.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// askToStop leaves stdin open: if it ended first, a service would be deaf to the signal.
func askToStop(p *os.Process, _ io.Closer) error { return p.Signal(syscall.SIGTERM) }

func pause(p *os.Process) error  { return p.Signal(syscall.SIGSTOP) }
func resume(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
