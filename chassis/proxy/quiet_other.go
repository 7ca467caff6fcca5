//go:build !unix

package proxy

import "syscall"

// quiet reports that a connection cannot be trusted to be idle: there is no way to look without waiting.
func quiet(syscall.RawConn) bool { return false }
