package process

import (
	"net"
	"syscall"
)

const tcpNotSentLowat = 25 // TCP_NOTSENT_LOWAT, see tcp(7)

// limitUnsent lets the system take no more bytes for a connection than that many beyond those that are on their way. Without a
// limit it takes megabytes for each client that reads slowly: 400 such viewers made all of TCP short of memory.
func limitUnsent(conn *net.TCPConn, bytes int) {
	raw, err := conn.SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) { // a system without it does as it did
			_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotSentLowat, bytes)
		})
	}
}
