package httpclient

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"
)

// TestDialTwice: the first replica does not answer, the second does.
func TestDialTwice(t *testing.T) {
	refused := errors.New("refused")
	dials := 0
	dialer := Dialer{time.Millisecond, func(ctx context.Context, _, _ string) (net.Conn, error) {
		if dials++; dials == 1 {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return nil, refused
	}}
	if _, err := dialer.DialContext(t.Context(), "tcp", "x:80"); !errors.Is(err, refused) || dials != 2 {
		t.Errorf("%v after %d dials", err, dials)
	}
	if _, err := dialer.DialContext(t.Context(), "tcp", "x:80"); !errors.Is(err, refused) || dials != 3 {
		t.Errorf("%v after %d dials: who refuses is not asked again", err, dials)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	dials = 0
	if _, err := dialer.DialContext(cancelled, "tcp", "x:80"); !errors.Is(err, context.Canceled) || dials != 1 {
		t.Errorf("cancelled: %v after %d dials", err, dials)
	}
}
