package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestLimiter(t *testing.T) {
	l, now := newLimiter(2), time.Unix(1700000000, 0)
	ann, bob, address := caller{"ann", 1}, caller{"bob", 1}, caller{"192.0.2.1", crowd}
	for i := range 2 * burst {
		if wait := l.take(1, now, ann); wait != 0 {
			t.Fatalf("request %d waits %v", i, wait)
		}
	}
	for range 3 { // asking costs nothing
		if wait := l.take(1, now, ann); wait != time.Second/2 {
			t.Errorf("the wait is %v", wait)
		}
	}
	if wait := l.take(uploadCost, now, bob); wait != 0 {
		t.Errorf("another caller waits %v", wait)
	}
	for i := range 2 * burst * crowd {
		if wait := l.take(1, now, address); wait != 0 {
			t.Fatalf("request %d of an address waits %v", i, wait)
		}
	}
	if l.take(1, now, address) == 0 {
		t.Error("an address never waits")
	}
	for range 3 { // nobody pays when one of them has to wait
		l.take(1, now, caller{"carl", 1}, address)
		l.take(1, now, ann, caller{"another address", crowd})
	}
	for _, c := range []caller{{"carl", 1}, {"another address", crowd}} {
		if wait := l.take(2*burst*int(c.viewers), now, c); wait != 0 {
			t.Errorf("%s waits %v for what was refused", c.name, wait)
		}
	}
	now = now.Add(time.Second / 2)
	if wait := l.take(1, now, ann); wait != 0 {
		t.Errorf("after the wait there is another: %v", wait)
	}
	for i := range 5 * maxCallers {
		l.take(1, now, caller{strconv.Itoa(i), 1})
		l.take(1, now, ann) // comes all the time, so is not forgotten
	}
	if n := len(l.recent) + len(l.before); n > 2*maxCallers {
		t.Errorf("%d callers are known", n)
	}
	if l.take(1, now, ann) == 0 {
		t.Error("a caller that keeps coming is forgotten")
	}
}

func TestCaller(t *testing.T) {
	viewer := strings.Repeat("v", 32)
	for _, c := range []struct{ cookie, address, want string }{
		{"viewer=" + viewer, "192.0.2.1:5", viewer + " 192.0.2.1"},
		{"viewer=short", "192.0.2.1:5", "192.0.2.1"},
		{"", "192.0.2.1:6", "192.0.2.1"},
		{"", "[::ffff:192.0.2.1]:5", "192.0.2.1"},
		{"", "[2001:db8:1:2:3:4:5:6]:5", "2001:db8:1:2::/64"},
		{"", "[fe80::1%eth0]:5", "fe80::/64"},
		{"", "", ""},
	} {
		req := httptest.NewRequest("GET", "/", nil)
		req.RemoteAddr = c.address
		req.Header.Set("X-Forwarded-For", "198.51.100.7")
		if c.cookie != "" {
			req.Header.Set("Cookie", c.cookie)
		}
		var names []string
		for _, caller := range callersOf(req) {
			names = append(names, caller.name)
			if (caller.viewers == 1) != (caller.name == viewer) {
				t.Errorf("%q may ask for %d", caller.name, caller.viewers)
			}
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%q at %q is %q, want %q", c.cookie, c.address, got, c.want)
		}
	}
}

// TestTooMany uses up a viewer's requests: pages and assets still come, and so does all for another viewer.
func TestTooMany(t *testing.T) {
	ok := func(http.ResponseWriter, *http.Request) {}
	gateway := startWith(t, soon, 10, services{"video-streaming": ok, "video-upload": ok, "history": ok})
	ann, bob := "viewer="+strings.Repeat("a", 32), "viewer="+strings.Repeat("b", 32)
	ask := func(method, path, viewer string) *http.Response {
		res, body := do(t, request(t, method, gateway+path, nil, "Cookie", viewer))
		if res.StatusCode == 429 && strings.HasPrefix(path, "/api/") != strings.HasPrefix(body, `{"error":"too many`) {
			t.Errorf("%s %s answers %s", method, path, body)
		}
		return res
	}
	refused := 0
	for range 300 { // more than the burst and what comes back meanwhile
		if res := ask("GET", "/api/video?id=x", ann); res.StatusCode == 429 && res.Header.Get("Retry-After") == "1" {
			refused++
		}
		if refused == 3 {
			break
		}
	}
	if refused == 0 {
		t.Fatal("nothing is refused")
	}
	for _, path := range []string{"/api/upload", "/upload", "/api/uploads"} {
		if res := ask("POST", path, ann); res.StatusCode != 429 || res.Header.Get("Retry-After") == "" {
			t.Errorf("POST %s: %s", path, res.Status)
		}
	}
	if res := ask("GET", "/history", ann); res.StatusCode != 200 {
		t.Errorf("a page: %s", res.Status)
	}
	if res := ask("GET", "/api/video?id=x", bob); res.StatusCode != 200 {
		t.Errorf("another viewer: %s", res.Status)
	}
}

// TestFreshCookies: who takes a new cookie for every request is still somebody at an address.
func TestFreshCookies(t *testing.T) {
	gateway := startWith(t, soon, 1, services{"history": func(http.ResponseWriter, *http.Request) {}})
	for i := range 1000 {
		viewer := fmt.Sprintf("viewer=%032d", i)
		res, _ := do(t, request(t, "POST", gateway+"/api/position?video=x", nil, "Cookie", viewer))
		if res.StatusCode != 429 {
			continue
		}
		if i < burst*crowd {
			t.Errorf("%d viewers are too many for one address", i)
		}
		return
	}
	t.Error("nothing is refused")
}

// TestTooManyReachesTheBrowser: it sends all of a body first, also of what costs little.
func TestTooManyReachesTheBrowser(t *testing.T) {
	gateway := startWith(t, soon, 1, services{"history": func(http.ResponseWriter, *http.Request) {}})
	address, viewer := gateway+"/api/position?video=x", "viewer="+strings.Repeat("v", 32)
	for range burst {
		_, _ = do(t, request(t, "POST", address, nil, "Cookie", viewer))
	}
	content := make([]byte, 32<<20)
	for range 20 { // some of them may have waited long enough
		if res, body := browser(t, address, "application/json", content, "Cookie", viewer); res.StatusCode == 429 {
			if !strings.HasPrefix(body, `{"error":"too many`) {
				t.Errorf("the answer is %s", body)
			}
			return
		}
	}
	t.Error("nothing is refused")
}
