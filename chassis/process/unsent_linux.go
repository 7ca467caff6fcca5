package process

import (
	"net"

	"golang.org/x/sys/unix"
)

// limitUnsent lets the system take no more bytes for a connection than that many beyond those that are on their way. Without a
// limit it takes megabytes for each client that reads slowly: 400 such viewers made all of TCP short of memory.
func limitUnsent(conn *net.TCPConn, bytes int) {
	raw, err := conn.SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) { // a system without it does as it did
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, bytes)
		})
	}
}

// unreceived reports whether the other side of an open connection has not confirmed all that was sent, the end of it
// included (RFC 9293, section 3.6).
func unreceived(conn *net.TCPConn) (yes bool) {
	raw, err := conn.SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) {
			info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
			yes = err == nil && info.State != unix.BPF_TCP_CLOSE && (info.Unacked > 0 || info.Notsent_bytes > 0)
		})
	}
	return yes
}
