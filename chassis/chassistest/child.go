//go:build unix

package chassistest

import (
	"os/exec"
	"syscall"
	"testing"
)

// child is a command that is killed, with its whole process group, when the test process ends, even if that is killed:
// then the input of the watcher ends. The program takes the place of the shell, so that the process is its own.
func child(tb testing.TB, program string, args ...string) *exec.Cmd {
	tb.Helper()
	cmd := exec.Command("sh", append([]string{
		"-c", `exec 3<&0; (cat <&3; kill -9 0) >/dev/null 2>&1 & exec "$@" </dev/null 3<&-`, "sh", program,
	}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the group that "kill 0" means
	if _, err := cmd.StdinPipe(); err != nil {
		tb.Fatal(err)
	}
	return cmd
}
