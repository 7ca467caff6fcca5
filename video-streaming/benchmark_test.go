package main

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"flixtube/chassis/httpclient"
	"flixtube/chassis/messaging"
	"flixtube/chassis/outbox"
)

// noRecorder is the baseline.
type noRecorder struct{}

func (noRecorder) Offer(messaging.Message) error { return nil }

// BenchmarkFirstByte compares the time to a video's first byte with and without recording the view, turn by turn
// in one run. It reports what recording adds to the median and to the 99th percentile, and fails if that is too much.
func BenchmarkFirstByte(b *testing.B) {
	content := make([]byte, 64<<10)
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(content)
	}))
	defer storage.Close()
	log := slog.New(slog.DiscardHandler)
	box, err := outbox.Open(b.TempDir(), 10_000_000, log)
	if err != nil {
		b.Fatal(err)
	}
	defer box.Close()
	target, err := url.Parse(storage.URL)
	if err != nil {
		b.Fatal(err)
	}
	var sites [2]*httptest.Server
	for i, r := range []recorder{noRecorder{}, box} {
		sites[i] = httptest.NewServer(newHandler(target, httpclient.NewTransport(), r, log))
		defer sites[i].Close()
	}
	var times [2][]time.Duration
	for b.Loop() {
		for i, site := range sites {
			times[i] = append(times[i], firstByte(b, site.URL))
		}
	}
	for i := range times {
		slices.Sort(times[i])
	}
	for p, most := range map[int]time.Duration{50: 100 * time.Microsecond, 99: time.Millisecond} {
		without, with := times[0][len(times[0])*p/100], times[1][len(times[1])*p/100]
		b.ReportMetric(float64((with - without).Microseconds()), fmt.Sprintf("µs-added-p%d", p))
		if len(times[0]) >= 1000 && with-without > most { // a percentile of fewer says nothing
			b.Errorf("recording adds %v to percentile %d, more than %v", with-without, p, most)
		}
		b.ReportMetric(float64(without.Microseconds()), fmt.Sprintf("µs-without-p%d", p))
	}
}

func firstByte(b *testing.B, site string) time.Duration {
	b.Helper()
	begun := time.Now()
	res, err := http.Get(site + "/video?id=x&view=" + uuid.NewString())
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadFull(res.Body, make([]byte, 1)); err != nil {
		b.Fatal(err)
	}
	took := time.Since(begun)
	_, _ = io.Copy(io.Discard, res.Body)
	return took
}
