package process

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// sender is the body of a request, some bytes after each pause, and the deadline of its connection.
type sender struct {
	pause    time.Duration
	bytes    int // after each pause
	left     int
	deadline time.Time
}

func (s *sender) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	if at := time.Now().Add(s.pause); !s.deadline.IsZero() && s.deadline.Before(at) {
		<-time.After(time.Until(s.deadline))
		return 0, os.ErrDeadlineExceeded
	}
	<-time.After(s.pause)
	n := min(s.bytes, s.left, len(p))
	s.left -= n
	return n, nil
}

func (s *sender) Close() error { return nil }

// writer is where the handler's deadline is set.
type writer struct {
	*httptest.ResponseRecorder
	sender *sender
}

func (w writer) SetReadDeadline(t time.Time) error {
	w.sender.deadline = t
	return nil
}

// TestUploadsTooSlow: a client may pause for a minute, but its upload must come at a rate, or end.
func TestUploadsTooSlow(t *testing.T) {
	for _, tc := range []struct {
		name   string
		sender sender
		within time.Duration // that it is cut off in, or 0
	}{
		{"a byte now and then", sender{pause: 59 * time.Second, bytes: 1, left: 1000}, 2 * time.Minute},
		{"a byte at a time", sender{pause: time.Second, bytes: 1, left: 1000}, 2 * time.Minute},
		{"half of the rate", sender{pause: time.Second, bytes: minRate / 2, left: 1000 * minRate}, 3 * time.Minute},
		{"nothing", sender{pause: time.Hour, bytes: 1, left: 1}, 2 * time.Minute},
		{"the rate", sender{pause: time.Second, bytes: minRate, left: 1000 * minRate}, 0},
		{"long pauses, and much between them", sender{pause: 59 * time.Second, bytes: 60 * minRate, left: 1000 * minRate}, 0},
		{"fast, and one pause", sender{pause: 59 * time.Second, bytes: 1 << 30, left: 1}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := tc.sender
				want, began := s.left, time.Now()
				var got int64
				var err error
				guardBodies(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
					LongBody(req, time.Minute)
					got, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, req.Body, make([]byte, 1<<20))
				}), defaultBodyTimes).ServeHTTP(writer{httptest.NewRecorder(), &s}, httptest.NewRequest(http.MethodPost, "/", &s))
				took := time.Since(began)
				if tc.within == 0 && (err != nil || got != int64(want)) {
					t.Errorf("%d of %d bytes came in %v: %v", got, want, took, err)
				}
				if tc.within > 0 && (!errors.Is(err, ErrBodyTimeout) || took > tc.within) {
					t.Errorf("after %v: %v", took, err)
				}
			})
		})
	}
}
