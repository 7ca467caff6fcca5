package launch

import (
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

func pause(*os.Process) error { return errors.New("Windows cannot pause a process") }

func resume(*os.Process) error { return nil } // none is paused
