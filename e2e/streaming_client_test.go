//go:build linux

package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// streamClient sends requests on one connection. It costs as little as possible: the machine is for what is measured.
type streamClient struct {
	conn         *net.TCPConn
	path, cookie string
	random       *rand.Rand

	bytes  int64
	firsts []time.Duration
	err    error
}

func (s *streamClient) get(l streamLoad) {
	wanted, span := l.size, ""
	if l.part > 0 {
		from := s.random.Int64N(l.size - l.part)
		wanted, span = l.part, fmt.Sprintf("Range: bytes=%d-%d\r\n", from, from+l.part-1)
	}
	began := time.Now()
	_, s.err = fmt.Fprintf(s.conn, "GET %s%s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\nCookie: %s\r\n%s\r\n",
		s.path, videoOf(l.size), s.cookie, span)
	if s.err != nil {
		return
	}
	head := make([]byte, 4096)
	n := 0
	for !bytes.Contains(head[:n], []byte("\r\n\r\n")) && s.err == nil {
		var more int
		more, s.err = s.conn.Read(head[n:])
		n += more
	}
	s.firsts = append(s.firsts, time.Since(began))
	if s.err != nil {
		return
	}
	header, body, _ := bytes.Cut(head[:n], []byte("\r\n\r\n"))
	res, err := http.ReadResponse(bufio.NewReader(io.MultiReader(bytes.NewReader(header), strings.NewReader("\r\n\r\n"))), nil)
	if err != nil {
		s.err = err
		return
	}
	_ = res.Body.Close()
	if res.StatusCode/100 != 2 || res.ContentLength != wanted {
		s.err = fmt.Errorf("%d with %d bytes, want %d", res.StatusCode, res.ContentLength, wanted)
		return
	}
	s.err = s.discard(wanted - int64(len(body)))
	s.bytes += wanted
}

var discarded [1 << 20]byte // never written

// discard lets the system drop the next n bytes that arrive, without a copy (tcp(7), MSG_TRUNC).
func (s *streamClient) discard(n int64) error {
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	for n > 0 && failed == nil {
		err := raw.Read(func(fd uintptr) bool {
			var got int
			got, _, failed = syscall.Recvfrom(int(fd), discarded[:min(n, int64(len(discarded)))], syscall.MSG_TRUNC)
			n -= int64(max(got, 0))
			if failed == nil && got == 0 {
				failed = io.ErrUnexpectedEOF
			}
			return failed != syscall.EAGAIN
		})
		if err != nil {
			return err
		}
	}
	return failed
}

// cpuTime is what processes have used so far.
func cpuTime(tb testing.TB, pids []int) (sum time.Duration) {
	tb.Helper()
	for _, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			tb.Fatal(err)
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // from the third of proc_pid_stat(5) on
		for _, ticks := range fields[11:13] {
			n, err := strconv.Atoi(ticks)
			if err != nil {
				tb.Fatal(err)
			}
			sum += time.Duration(n) * 10 * time.Millisecond
		}
	}
	return sum
}

// resident is the memory of all processes of a chain, in bytes.
func (c *chain) resident(tb testing.TB) (sum int64) {
	tb.Helper()
	for _, pid := range c.pids(false) {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			tb.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(status), "VmRSS:")
		var kib int64
		if _, err := fmt.Sscan(rest, &kib); err != nil {
			tb.Fatal(err)
		}
		sum += kib << 10
	}
	return sum
}

// percentile of sorted durations, in milliseconds.
func percentile(sorted []time.Duration, p int) float64 {
	return float64(sorted[len(sorted)*p/100].Microseconds()) / 1000
}

func median(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	return values[len(values)/2]
}
