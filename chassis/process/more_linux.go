package process

import (
	"errors"
	"syscall"
)

// writeMore writes p, which the system may hold back until there is more to send with it.
func (c *conn) writeMore(p []byte) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	if err := c.progress(); err != nil {
		return err
	}
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		for len(p) > 0 && failed == nil {
			var n int
			n, failed = syscall.SendmsgN(int(fd), p, nil, nil, syscall.MSG_MORE)
			p = p[max(0, n):]
		}
		if errors.Is(failed, syscall.EAGAIN) {
			failed = nil
			return false
		}
		return true
	})
	if err != nil {
		return err
	}
	return failed
}
