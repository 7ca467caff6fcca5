package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
)

// crowd are many uploads at the same time. Each stops after a bit more than one block, until all may go on.
type crowd struct {
	begun  atomic.Int64 // bodies of which something was read
	paused atomic.Int64
	goOn   chan struct{}
}

type crowdBody struct {
	*crowd
	sent int
}

func (b *crowdBody) Read(p []byte) (int, error) {
	const pause = blockSize + 1000
	if b.sent == 0 {
		b.begun.Add(1)
	}
	select {
	case <-b.goOn:
		if b.sent > 0 {
			return 0, io.EOF
		}
	default:
		if b.sent == pause {
			b.paused.Add(1)
			<-b.goOn
			return 0, io.EOF
		}
	}
	n := min(len(p), pause-b.sent)
	b.sent += n
	return n, nil
}

// TestManyUploads: of 200 uploads at the same time each ends in 201 or 503. The memory that they take is bounded, and a
// video plays meanwhile.
func TestManyUploads(t *testing.T) {
	const uploads = 200
	stores(t, func(t *testing.T, base string, videos store) {
		slots := blobUploads
		if _, ok := videos.(*directory); ok {
			slots = directoryUploads
		}
		rejected := uploads - slots - maxQueued
		expect(t, 201, "POST", base+"/upload", "the video", "id: playing", "Content-Type: video/mp4")
		before := memory(t)

		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.ExpectContinueTimeout = time.Minute // as video-upload waits
		client := &http.Client{Transport: transport}
		defer client.CloseIdleConnections()
		c := &crowd{goOn: make(chan struct{})}
		ended := make(chan int, uploads)
		for i := range uploads {
			go func() { ended <- upload(t.Context(), client, base, fmt.Sprintf("crowd-%d", i), &crowdBody{crowd: c}) }()
		}
		err := chassistest.Poll(30*time.Second, func() error {
			if len(ended) < rejected || c.paused.Load() < int64(slots) {
				return fmt.Errorf("%d are answered, want %d; %d are being read, want %d", len(ended), rejected, c.paused.Load(), slots)
			}
			return nil
		})
		if err != nil || c.begun.Load() != int64(slots) {
			t.Errorf("%v; %d are being read, want %d", err, c.begun.Load(), slots)
		}
		if grown := memory(t) - before; grown > 192<<20 {
			t.Errorf("grown by %d MiB", grown>>20)
		} else {
			t.Logf("grown by %d MiB", grown>>20)
		}
		began := time.Now()
		if _, body := call(t, "GET", base+"/video?id=playing", ""); body != "the video" {
			t.Errorf("played %q", body)
		}
		if took := time.Since(began); took > maxWait/2 {
			t.Errorf("the video was played after %v", took)
		}
		close(c.goOn)
		statuses := map[int]int{}
		for range uploads {
			statuses[<-ended]++
		}
		if statuses[201] < slots || statuses[201]+statuses[503] != uploads {
			t.Errorf("statuses %v", statuses)
		}
	})
}

// upload returns the status of the answer, or 0 without one; 503 without Retry-After is 500 here.
func upload(ctx context.Context, client *http.Client, base, id string, body io.Reader) int {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/upload", body)
	if err != nil {
		return 0
	}
	req.Header.Set("Id", id)
	req.Header.Set("Content-Type", "video/mp4")
	req.Header.Set("Expect", "100-continue")
	res, err := client.Do(req)
	if err != nil {
		return 0
	}
	res.Body.Close()
	if res.StatusCode == http.StatusServiceUnavailable && res.Header.Get("Retry-After") == "" {
		return http.StatusInternalServerError
	}
	return res.StatusCode
}

// memory returns the resident memory of this process in bytes, or 0 where it cannot be read. The buffers of uploads to
// Azure are outside of Go's heap.
func memory(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Log("memory is not measured: ", err)
		return 0
	}
	var size, resident int64
	if _, err := fmt.Fscan(strings.NewReader(string(status)), &size, &resident); err != nil {
		t.Fatal(err)
	}
	return resident * int64(os.Getpagesize())
}
