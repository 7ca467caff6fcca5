//go:build linux

package e2e

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.yaml.in/yaml/v3"

	"flixtube/flixtube/launch"
)

const (
	descriptors    = 5 << 10 // of the gateway, which uses no more: 2560 connections in all, 640 of one address
	ofOneAddress   = descriptors / 8
	wantHeld       = 2000 // hostile connections that the gateway has at once
	attackTime     = 15 * time.Second
	mayWait        = 5 * time.Second // for a part of a video, or a page: players have more than that in their buffers
	reconnectAfter = 500 * time.Millisecond
	sendTimeout    = 5 * time.Second // the gateway's SEND_TIMEOUT
	readsAfter     = sendTimeout + 3*time.Second
	sentAlready    = 512 << 10 // no more of an answer is between the gateway and a reader that has read nothing
	watchedSize    = 64 << 20
	watchedPart    = 256 << 10
)

// hostile is one kind of connection.
type hostile struct {
	name   string
	alone  int // from one address together
	spread int // from an address each

	send func(ctx context.Context, to io.Writer, video string)                    // all that it ever sends
	hold func(c *crowdOfHostiles, ctx context.Context, status int, conn net.Conn) // after the start of an answer
}

var hostiles = []hostile{
	{"headers that never end", 300, 300, endlessHeaders, (*crowdOfHostiles).readAll},
	{"bodies that stall", 450, 300, stalledBody, (*crowdOfHostiles).readAll},
	{"readers that read too late", 550, 70, wholeVideo, (*crowdOfHostiles).readLate},
	{"idle ones", 600, 790, oneRequest, (*crowdOfHostiles).readAll},
	{"pipelined junk", 100, 80, pipelinedJunk, (*crowdOfHostiles).readNothing},
}

// endlessHeaders sends a byte at a time, behind as much as is allowed, or, in one of four, behind a megabyte.
func endlessHeaders(ctx context.Context, to io.Writer, _ string) {
	fmt.Fprint(to, "GET / HTTP/1.1\r\nHost: localhost\r\n")
	lines := 3
	if rand.N(4) == 0 {
		lines = 120
	}
	fmt.Fprint(to, strings.Repeat("X-Header: "+strings.Repeat("x", 8<<10)+"\r\n", lines))
	for tick := time.NewTicker(time.Second); ctx.Err() == nil; <-tick.C {
		if _, err := to.Write([]byte("x")); err != nil {
			return
		}
	}
}

func stalledBody(_ context.Context, to io.Writer, _ string) {
	fmt.Fprint(to, "POST /language HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nlang=")
}

func wholeVideo(_ context.Context, to io.Writer, video string) {
	fmt.Fprintf(to, "GET /api/video?id=%s HTTP/1.1\r\nHost: localhost\r\n\r\n", video)
}

func oneRequest(_ context.Context, to io.Writer, _ string) {
	fmt.Fprint(to, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

func pipelinedJunk(_ context.Context, to io.Writer, _ string) {
	requests := strings.Repeat("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n", 100)
	fmt.Fprint(to, requests, "\x00\xff\x16\x03\x01 junk\r\n\r\n", requests)
}

// crowdOfHostiles counts the answers to their connections; 0 is a connection that was closed without one.
type crowdOfHostiles struct {
	target, video string

	mu      sync.Mutex
	answers map[string]map[int]int // by kind and status
	late    int                    // videos whose readers came back to them
	cut     int                    // and that were over by then
}

// attack connects again and again until ctx is done.
func (c *crowdOfHostiles) attack(ctx context.Context, kind hostile, from net.IP) {
	dialer := net.Dialer{
		LocalAddr: &net.TCPAddr{IP: from},
		Control: func(_, _ string, raw syscall.RawConn) error { // what is not read stays with the gateway
			return raw.Control(func(fd uintptr) {
				_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10)
			})
		},
	}
	for ctx.Err() == nil {
		if conn, err := dialer.DialContext(ctx, "tcp", c.target); err == nil {
			c.use(ctx, kind, conn)
		}
		select {
		case <-ctx.Done():
		case <-time.After(reconnectAfter + rand.N(reconnectAfter)):
		}
	}
}

func (c *crowdOfHostiles) use(ctx context.Context, kind hostile, conn net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	defer conn.Close()
	go kind.send(ctx, conn, c.video)
	var line [len("HTTP/1.1 200")]byte
	_, _ = io.ReadFull(conn, line[:])
	if ctx.Err() != nil {
		return
	}
	status, _ := strconv.Atoi(string(bytes.TrimLeft(line[9:], "\x00")))
	c.mu.Lock()
	c.answers[kind.name][status]++
	c.mu.Unlock()
	if status == 0 {
		return
	}
	kind.hold(c, ctx, status, conn)
}

func (c *crowdOfHostiles) readAll(_ context.Context, _ int, conn net.Conn) {
	_, _ = io.Copy(io.Discard, conn)
}

func (c *crowdOfHostiles) readNothing(ctx context.Context, _ int, _ net.Conn) { <-ctx.Done() }

// readLate reads nothing for longer than the gateway waits.
func (c *crowdOfHostiles) readLate(ctx context.Context, status int, conn net.Conn) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(readsAfter):
	}
	_, err := io.CopyN(io.Discard, conn, sentAlready)
	if status != http.StatusOK || ctx.Err() != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.late++
	if err != nil {
		c.cut++
	}
}

// start attacks until stop is called, which returns when all connections are closed.
func (c *crowdOfHostiles) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	next := uint32(127<<24 + 77<<16)
	for _, kind := range hostiles {
		c.answers[kind.name] = map[int]int{}
	}
	for _, kind := range hostiles {
		for i := range kind.alone + kind.spread {
			from := net.IPv4(127, 66, 0, 1)
			if i >= kind.alone {
				next++
				from = binary.BigEndian.AppendUint32(nil, next)
			}
			running.Go(func() { c.attack(ctx, kind, from) })
		}
	}
	return func() {
		cancel()
		running.Wait()
	}
}

// TestHostileConnections: some two thousand connections that only hold on to what they can get, from one address and from
// a thousand, do not disturb a viewer, and no service needs more memory for them than it has in production.
func TestHostileConnections(t *testing.T) {
	startsOwn(t)
	production := productionLimits(t)
	s := newSite(t, map[string]string{"GOMEMLIMIT": production.goLimit, "SEND_TIMEOUT": strconv.Itoa(int(sendTimeout.Seconds()))})
	limitDescriptors(t, s)
	v := newViewer(t, s)
	start, title := sample(t), unique("Watched under attack")
	sent := newLargeBody(start, watchedSize)
	id := v.uploaded(v.must(v.send(http.MethodPost, "/api/upload", sent, "File-Name", url.PathEscape(title+".mp4"))))
	v.waitListed(id, title)
	gateway := s.system.Services["gateway"]
	pids := map[string]int{}
	for name, service := range s.system.Services {
		pids[name] = service.PID()
	}

	crowd := &crowdOfHostiles{target: strings.TrimPrefix(gateway.Address, "http://"), video: id, answers: map[string]map[int]int{}}
	stop := crowd.start(t.Context())
	most, ofOne := map[bool]int{}, []int{} // connections of the gateway: of the one address or not; each second
	ctx, cancel := context.WithTimeout(t.Context(), attackTime)
	defer cancel()
	watched := make(chan watching, 1)
	go func() { watched <- v.watchUntil(ctx, id, start) }()
	for tick := time.NewTicker(time.Second); ctx.Err() == nil; <-tick.C {
		for alone, n := range connections(t, pids["gateway"], crowd.target) {
			most[alone] = max(most[alone], n)
			if alone {
				ofOne = append(ofOne, n)
			}
		}
	}
	w := <-watched
	stop()

	for _, kind := range hostiles {
		t.Logf("%s: %v", kind.name, crowd.answers[kind.name])
	}
	t.Logf("the gateway held %d connections of one address and %d of others; the viewer made %d requests, the slowest in %v",
		most[true], most[false], w.requests, w.slowest)
	t.Logf("of %d readers that read nothing for %v, %d found the connection closed", crowd.late, readsAfter, crowd.cut)
	if crowd.late == 0 || crowd.cut < crowd.late {
		t.Error("the gateway waits for readers that read nothing")
	}
	if w.err != nil {
		t.Errorf("the viewer notices: %v", w.err)
	}
	if w.slowest > mayWait {
		t.Errorf("the viewer waits for %v", w.slowest)
	}
	if held := most[true] + most[false]; held < wantHeld {
		t.Errorf("there were %d connections, want %d", held, wantHeld)
	}
	slices.Sort(ofOne)
	if median := ofOne[len(ofOne)/2]; median > ofOneAddress+ofOneAddress/20 { // those too many are accepted for a moment
		t.Errorf("one address has %d connections", median)
	}
	for _, want := range []struct {
		kind, status int
	}{{0, http.StatusRequestHeaderFieldsTooLarge}, {2, http.StatusTooManyRequests}, {3, http.StatusTooManyRequests}} {
		if name := hostiles[want.kind].name; crowd.answers[name][want.status] == 0 {
			t.Errorf("%s: none was answered %d", name, want.status)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(pids)) {
		if now := s.system.Services[name].PID(); now != pids[name] {
			t.Errorf("%s has died of it", name)
			continue
		}
		peak := peakMemory(t, pids[name])
		t.Logf("%s has had %d of %d MiB", name, peak>>20, production.memory[name]>>20)
		if peak > production.memory[name] {
			t.Errorf("%s needs more memory than it has in production", name)
		}
	}
}

// limitDescriptors restarts the gateway with fewer of them.
func limitDescriptors(t *testing.T, s *site) {
	t.Helper()
	gateway := s.system.Services["gateway"]
	gateway.Stop()
	script := fmt.Sprintf("#!/bin/sh\nulimit -n %d && exec %q\n", descriptors, gateway.Path)
	gateway.Path = filepath.Join(t.TempDir(), "gateway")
	if err := os.WriteFile(gateway.Path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	s.start(t, "gateway")
}

// watching is how a viewer was served.
type watching struct {
	requests int
	slowest  time.Duration
	err      error
}

// watchUntil plays a video in parts, one after the other, and opens pages on connections of their own meanwhile.
func (v *viewer) watchUntil(ctx context.Context, id string, start []byte) (w watching) {
	page := &http.Client{Jar: v.http.Jar, Transport: &http.Transport{DisableKeepAlives: true}}
	same := newLargeBody(start, watchedSize)
	address := v.site.url + "/api/video?id=" + id + "&view=" + uuid.NewString()
	for ; ctx.Err() == nil; w.requests++ {
		began := time.Now()
		if w.requests%20 == 0 {
			a, err := call(v.t.Context(), page, http.MethodGet, v.site.url+"/video?id="+id, nil)
			if err == nil && a.status != http.StatusOK {
				err = fmt.Errorf("the page is answered %d", a.status)
			}
			w.err = err
		} else {
			if same.at == watchedSize {
				same = newLargeBody(start, watchedSize)
			}
			at := same.at
			a, err := v.get(address, "Range", fmt.Sprintf("bytes=%d-%d", at, at+watchedPart-1))
			if err == nil {
				var n int
				if n, err = same.compare(bytes.NewReader(a.body)); err == nil && (a.status != http.StatusPartialContent || n != watchedPart) {
					err = fmt.Errorf("a part is answered %d with %d bytes", a.status, n)
				}
			}
			w.err = err
		}
		w.slowest = max(w.slowest, time.Since(began))
		if w.err != nil {
			return w
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	return w
}

// connections counts those that the gateway has accepted: of the one hostile address (true), and of all others.
func connections(t *testing.T, pid int, target string) map[bool]int {
	t.Helper()
	_, port, _ := strings.Cut(target, ":")
	number, _ := strconv.Atoi(port)
	own := map[string]bool{}
	for _, file := range openFiles(t, pid) {
		if inode, ok := strings.CutPrefix(file, "socket:["); ok {
			own[strings.TrimSuffix(inode, "]")] = true
		}
	}
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	count := map[bool]int{}
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line) // man 5 proc: sl, local_address, rem_address, st (01: established), …, inode
		if len(fields) < 10 || fields[3] != "01" || !strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", number)) || !own[fields[9]] {
			continue
		}
		count[strings.HasPrefix(fields[2], "0100427F:")]++ // 127.66.0.1
	}
	return count
}

// limits of the services in docker-compose-prod.yml.
type limits struct {
	memory  map[string]int // bytes
	goLimit string         // GOMEMLIMIT
}

func productionLimits(t *testing.T) (l limits) {
	t.Helper()
	text, err := os.ReadFile("../docker-compose-prod.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct {
			MemLimit    string            `yaml:"mem_limit"`
			Environment map[string]string `yaml:"environment"`
		} `yaml:"services"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	l.memory = map[string]int{}
	for _, name := range launch.Names() {
		service := file.Services[name]
		megabytes, err := strconv.Atoi(strings.TrimSuffix(service.MemLimit, "m"))
		if err != nil {
			t.Fatalf("the limit of %s: %v", name, err)
		}
		l.memory[name] = megabytes << 20
		l.goLimit = cmp.Or(l.goLimit, service.Environment["GOMEMLIMIT"])
	}
	return l
}
