package httpclient

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"testing"
	"time"
)

// TestDial: an address that does not answer, or refuses, is not the last one. replies is what each dial is answered with; nil
// is no answer at all.
func TestDial(t *testing.T) {
	refused := errors.New("refused")
	conn, _ := net.Pipe()
	defer conn.Close()
	for name, tc := range map[string]struct {
		hosts   []string
		replies []any
		want    error
	}{
		"at once":                    {[]string{"10.0.0.1"}, []any{conn}, nil},
		"no answer":                  {[]string{"10.0.0.1"}, []any{nil, conn}, nil},
		"refused, and once more":     {[]string{"10.0.0.1"}, []any{refused, refused}, refused},
		"the other one":              {[]string{"10.0.0.1", "10.0.0.2"}, []any{refused, conn}, nil},
		"none of three":              {[]string{"10.0.0.1", "10.0.0.2", "::1"}, []any{refused, nil, refused}, refused},
		"no address for the name":    {nil, nil, errNoHost},
		"the caller waits no longer": {[]string{"10.0.0.1"}, []any{context.Canceled}, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var dialled []string
			d := Dialer{
				time.Millisecond,
				func(context.Context, string) ([]string, error) {
					if tc.hosts == nil {
						return nil, errNoHost
					}
					return slices.Clone(tc.hosts), nil
				},
				func(ctx context.Context, _, address string) (net.Conn, error) {
					dialled = append(dialled, address)
					switch reply := tc.replies[len(dialled)-1].(type) {
					case net.Conn:
						return reply, nil
					case error:
						if errors.Is(reply, context.Canceled) {
							cancel()
						}
						return nil, reply
					}
					<-ctx.Done()
					return nil, ctx.Err()
				},
			}
			got, err := d.DialContext(ctx, "tcp", "name:80")
			if !errors.Is(err, tc.want) || (err == nil) != (got != nil) || len(dialled) != len(tc.replies) {
				t.Errorf("%v, %v by %v", got, err, dialled)
			}
			if len(tc.hosts) == 3 && dialled[2] != "[::1]:80" {
				t.Errorf("the other IP version is not the last: %v", dialled)
			}
		})
	}
}

var errNoHost = errors.New("no such host")

// TestDialsAreShared: every address gets some.
func TestDialsAreShared(t *testing.T) {
	dialled := map[string]int{}
	d := Dialer{
		time.Second,
		func(context.Context, string) ([]string, error) { return []string{"10.0.0.1", "10.0.0.2"}, nil },
		func(_ context.Context, _, address string) (net.Conn, error) {
			dialled[address]++
			conn, _ := net.Pipe()
			return conn, nil
		},
	}
	for range 200 {
		conn, err := d.DialContext(t.Context(), "tcp", "name:80")
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	if len(dialled) != 2 || slices.Min(slices.Collect(maps.Values(dialled))) < 50 {
		t.Errorf("dialled were %v", dialled)
	}
}
