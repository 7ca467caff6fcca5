//go:build unix

package proxy

import "syscall"

// quiet reports whether a connection that should be idle is open and has nothing to read.
func quiet(conn syscall.RawConn) (idle bool) {
	var b [1]byte
	err := conn.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
		idle = err == syscall.EAGAIN
		return true
	})
	return err == nil && idle
}
