package edge

import "testing"

func TestInFlight(t *testing.T) {
	f := NewInFlight(2, 3)
	ann, bob, address := client{"ann", 1}, client{"bob", 1}, client{"192.0.2.1", viewersPerAddress}
	enter := func(want bool, clients ...client) {
		t.Helper()
		if got := f.enter(clients); got != want {
			t.Errorf("%v enters: %t", clients, got)
		}
	}
	enter(true, ann, address)
	enter(true, ann, address)
	enter(false, ann, address)
	enter(true, bob, address) // nothing was counted for what was rejected
	enter(false, bob, address)
	enter(false, address)
	enter(true, bob, client{"192.0.2.2", viewersPerAddress})
	f.leave([]client{ann, address})
	enter(true, address)
	for _, clients := range [][]client{{ann, address}, {bob, address}, {address}, {bob, client{"192.0.2.2", viewersPerAddress}}} {
		f.leave(clients)
	}
	if len(f.count) > 0 {
		t.Errorf("clients that have left are kept: %v", f.count)
	}
	unbounded := NewInFlight(0, 1)
	for range 2 {
		if !unbounded.enter([]client{ann}) {
			t.Error("0 is a bound")
		}
	}
}
