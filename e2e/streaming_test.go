//go:build linux

package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

// BenchmarkStreaming compares the way of a video through the gateway, video-streaming and video-storage with nginx, which
// has the same two proxy hops before the same files. Each round measures every load on both, in turn.
//
//	go test ./e2e -run '^$' -bench Streaming -benchtime 5x
//
// BEFORE names a folder with the programs of another version (as launch.Build makes it), which is measured in the same
// rounds. REPORT names a folder for the tables and the plot as files.
func BenchmarkStreaming(b *testing.B) {
	nginx := nginxProgram(b)
	programs(b)
	own, files := newSiteChain(b, "this site", bin)
	chains := []*chain{own, newNginx(b, nginx, files)}
	if before := os.Getenv("BEFORE"); before != "" {
		other, _ := newSiteChain(b, "before", before)
		chains = append(chains, other)
	}
	for _, c := range chains {
		c.verify(b)
	}
	var all measurements
	for b.Loop() {
		for _, l := range streamLoads {
			for i := range chains { // in each round another one begins
				c := chains[(i+all.rounds)%len(chains)]
				all.add(l, c, c.measure(b, l))
			}
		}
		all.rounds++
	}
	for _, c := range chains {
		c.measure(b, streamLoad{name: "many", conns: 256, size: 5 << 20})
		all.memory = append(all.memory, fmt.Sprintf("| %s | %d |", c.name, c.resident(b)>>20))
	}
	report(b, all)
}

// streamLoad is what clients do at the same time.
type streamLoad struct {
	name  string
	conns int
	size  int64 // of the video
	part  int64 // of it, at random places; 0: all of it
	store bool  // at the service that has the files, without the proxies
}

var streamLoads = []streamLoad{
	{name: "32 × 5 MiB", conns: 32, size: 5 << 20},
	{name: "2 × 256 MiB", conns: 2, size: 256 << 20},
	{name: "32 × 64 KiB ranges", conns: 32, size: 256 << 20, part: 64 << 10},
	{name: "1 × 64 KiB ranges", conns: 1, size: 256 << 20, part: 64 << 10},
	{name: "store alone: 32 × 5 MiB", conns: 32, size: 5 << 20, store: true},
	{name: "store alone: 32 × 64 KiB ranges", conns: 32, size: 256 << 20, part: 64 << 10, store: true},
}

// turn is how long each load works on each chain in a round.
const turn = time.Second

// chain is one way from a client to the files.
type chain struct {
	name         string
	front, store string           // host:port
	frontPath    string           // of videos
	pids         func(bool) []int // of the processes of the chain, or of the store alone
	cookie       func() string    // of one more viewer
}

func videoOf(size int64) string { return fmt.Sprintf("of-%d-bytes", size) }

// newSiteChain starts a FlixTube, and stores the videos of all loads.
func newSiteChain(b *testing.B, name, bin string) (c *chain, files string) {
	b.Helper()
	s := newSiteOf(b, bin, map[string]string{"RATE_LIMIT": "1000000"})
	of := s.system.Services
	for _, size := range []int64{5 << 20, 256 << 20} {
		content := make([]byte, size)
		_, _ = rand.NewChaCha8([32]byte{byte(size >> 20)}).Read(content) // never fails
		r, err := call(b.Context(), http.DefaultClient, http.MethodPost, of["video-storage"].Address+"/upload", bytes.NewReader(content),
			"id", videoOf(size), "Content-Type", "video/mp4")
		if err != nil || r.status != http.StatusCreated {
			b.Fatalf("store a video: %v, %d %s", err, r.status, r.body)
		}
	}
	return &chain{
		name: name, front: of["gateway"].Address[len("http://"):], store: of["video-storage"].Address[len("http://"):],
		frontPath: "/api/video",
		pids: func(store bool) []int {
			if store {
				return []int{of["video-storage"].PID()}
			}
			return []int{of["gateway"].PID(), of["video-streaming"].PID(), of["video-storage"].PID()}
		},
		cookie: func() string { return s.cookie(b) },
	}, s.videos
}

// cookie is that of one more viewer.
func (s *site) cookie(b *testing.B) string {
	b.Helper()
	r, err := call(b.Context(), http.DefaultClient, http.MethodGet, s.url+"/upload", nil)
	if err != nil || r.header.Get("Set-Cookie") == "" {
		b.Fatalf("no cookie: %v, %d", err, r.status)
	}
	cookie, _, _ := strings.Cut(r.header.Get("Set-Cookie"), ";")
	return cookie
}

// measurement is one load on one chain in one round.
type measurement struct {
	bytes, requests int64
	took, cpu       time.Duration
	firsts          []time.Duration // until the first bytes of each response, sorted
}

// measure works with l for a turn.
func (c *chain) measure(b *testing.B, l streamLoad) measurement {
	b.Helper()
	clients := make([]*streamClient, l.conns)
	for i := range clients {
		clients[i] = c.connect(b, i, l.store)
		defer clients[i].conn.Close()
	}
	before, began := cpuTime(b, c.pids(l.store)), time.Now()
	var wg sync.WaitGroup
	for _, client := range clients {
		wg.Go(func() {
			for client.err == nil && time.Since(began) < turn {
				client.get(l)
			}
		})
	}
	wg.Wait()
	m := measurement{took: time.Since(began), cpu: cpuTime(b, c.pids(l.store)) - before}
	for _, client := range clients {
		if client.err != nil {
			b.Fatalf("%s, %s: %v", c.name, l.name, client.err)
		}
		m.bytes += client.bytes
		m.requests += int64(len(client.firsts))
		m.firsts = append(m.firsts, client.firsts...)
	}
	slices.Sort(m.firsts)
	return m
}

// verify compares the answer to one request with the file.
func (c *chain) verify(b *testing.B) {
	b.Helper()
	want := make([]byte, 5<<20)
	_, _ = rand.NewChaCha8([32]byte{5}).Read(want)
	for address, path := range map[string]string{c.front: c.frontPath, c.store: "/video"} {
		address := "http://" + address + path + "?id=" + videoOf(5<<20)
		r, err := call(b.Context(), http.DefaultClient, http.MethodGet, address, nil, "Range", "bytes=70000-")
		if err != nil || r.status != http.StatusPartialContent || !bytes.Equal(r.body, want[70000:]) {
			b.Fatalf("%s: %v, %d with %d bytes", address, err, r.status, len(r.body))
		}
	}
}

// connect opens the connection of one more viewer. Up to 64 have an address in common, because streams have a bound for each.
func (c *chain) connect(b *testing.B, i int, store bool) *streamClient {
	b.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i/64))}}
	client := &streamClient{path: c.frontPath, random: rand.New(rand.NewPCG(uint64(i), 0))}
	address := c.front
	if store {
		client.path, address = "/video", c.store
	} else if c.cookie != nil {
		client.cookie = c.cookie()
	}
	client.path += "?view=" + uuid.NewString() + "&id="
	conn, err := dialer.DialContext(b.Context(), "tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	client.conn = conn.(*net.TCPConn)
	return client
}
