package edge

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/web"
)

func TestLimiter(t *testing.T) {
	l, err := NewLimiter(2)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1700000000, 0)
	ann, bob, address := client{"ann", 1}, client{"bob", 1}, client{"192.0.2.1", viewersPerAddress}
	for i := range 2 * burst {
		if wait := l.reserve(1, now, ann); wait != 0 {
			t.Fatalf("request %d waits %v", i, wait)
		}
	}
	for range 3 { // a rejected request costs nothing
		if wait := l.reserve(1, now, ann); wait != time.Second/2 {
			t.Errorf("the wait is %v", wait)
		}
	}
	if wait := l.reserve(CostUpload, now, bob); wait != 0 {
		t.Errorf("another client waits %v", wait)
	}
	for i := range 2 * burst * viewersPerAddress {
		if wait := l.reserve(1, now, address); wait != 0 {
			t.Fatalf("request %d of an address waits %v", i, wait)
		}
	}
	if l.reserve(1, now, address) == 0 {
		t.Error("an address never waits")
	}
	for range 3 { // nobody pays when one of them has to wait
		l.reserve(1, now, client{"carl", 1}, address)
		l.reserve(1, now, ann, client{"another address", viewersPerAddress})
	}
	for _, c := range []client{{"carl", 1}, {"another address", viewersPerAddress}} {
		if wait := l.reserve(2*burst*int(c.viewers), now, c); wait != 0 {
			t.Errorf("%s waits %v because of what was rejected", c.key, wait)
		}
	}
	now = now.Add(time.Second / 2)
	if wait := l.reserve(1, now, ann); wait != 0 {
		t.Errorf("after the wait there is another: %v", wait)
	}
	for i := range 5 * maxClients {
		l.reserve(1, now, client{strconv.Itoa(i), 1})
		l.reserve(1, now, ann) // comes all the time, and so is not forgotten
	}
	if n := l.buckets.Len(); n != maxClients {
		t.Errorf("%d clients are known", n)
	}
	if l.reserve(1, now, ann) == 0 {
		t.Error("a client that keeps coming is forgotten")
	}
}

func TestClients(t *testing.T) {
	viewers := Viewers{Keys: [][]byte{[]byte("a key of this test")}}
	viewer := strings.Repeat("v", 32)
	for _, c := range []struct{ cookie, address, want string }{
		{"viewer=" + viewers.Sign(viewer), "192.0.2.1", viewer + " 192.0.2.1"},
		{"viewer=" + viewer, "192.0.2.1", "192.0.2.1"},
		{"viewer=short", "192.0.2.1", "192.0.2.1"},
		{"", "2001:db8:1:2::", "2001:db8:1:2::"},
		{"", "", ""},
	} {
		req := httptest.NewRequest("GET", "/", nil)
		req.Header.Set(web.ClientHeader, c.address)
		if c.cookie != "" {
			req.Header.Set("Cookie", c.cookie)
		}
		var names []string
		viewers.Recognize(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
			for _, c := range clientsOf(req) {
				names = append(names, c.key)
				if (c.viewers == 1) != (c.key == viewer) {
					t.Errorf("%q may ask for %d", c.key, c.viewers)
				}
			}
		})).ServeHTTP(nil, req)
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%q at %q is %q, want %q", c.cookie, c.address, got, c.want)
		}
	}
}
