package edge

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"flixtube/chassis/web"
)

func TestIdentifyAddress(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::7/128")}
	for _, c := range []struct {
		remote, forwardedFor, forwarded, want string
	}{
		{"192.0.2.1:5", "198.51.100.7", "for=198.51.100.7", "192.0.2.1"},
		{"[::ffff:192.0.2.1]:5", "", "", "192.0.2.1"},
		{"[2001:db8:1:2:3:4:5:6]:5", "", "", "2001:db8:1:2::"},
		{"10.1.2.3:5", "", "", "10.1.2.3"},
		{"10.1.2.3:5", "198.51.100.7", "", "198.51.100.7"},
		{"10.1.2.3:5", "203.0.113.9, 198.51.100.7", "", "198.51.100.7"},
		{"10.1.2.3:5", "203.0.113.9, 198.51.100.7,10.9.9.9", "", "198.51.100.7"},
		{"10.1.2.3:5", "198.51.100.7:4711", "", "198.51.100.7"},
		{"10.1.2.3:5", "[2001:db8::5]:4711", "", "2001:db8::"},
		{"10.1.2.3:5", "2001:db8::5", "", "2001:db8::"},
		{"10.1.2.3:5", "203.0.113.9, unknown", "", "10.1.2.3"},
		{"10.1.2.3:5", "203.0.113.9, nonsense, 10.4.4.4", "", "10.4.4.4"},
		{"10.1.2.3:5", "10.5.5.5", "", "10.5.5.5"},
		{"[fd00::7]:5", "198.51.100.7", "", "198.51.100.7"},
		{"[fd00::8]:5", "198.51.100.7", "", "fd00::"},
		{"10.1.2.3:5", "", "for=198.51.100.7", "198.51.100.7"},
		{"10.1.2.3:5", "", `for=203.0.113.9;by=1.1.1.1, proto=https; FOR="198.51.100.7:80" ;by=x`, "198.51.100.7"},
		{"10.1.2.3:5", "", `For="[2001:db8:cafe::17]:4711"`, "2001:db8:cafe::"},
		{"10.1.2.3:5", "", `for="203.0.113.9, for=198.51.100.7`, "198.51.100.7"},
		{"10.1.2.3:5", "", "for=198.51.100.7, for=_hidden", "10.1.2.3"},
		{"10.1.2.3:5", "", "proto=https", "10.1.2.3"},
		{"10.1.2.3:5", "198.51.100.7", "for=203.0.113.9", "10.1.2.3"},
		{"", "198.51.100.7", "", ""},
	} {
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.RemoteAddr = c.remote
		req.Header.Set(web.ClientHeader, "203.0.113.99")
		if c.forwardedFor != "" {
			req.Header.Set("X-Forwarded-For", c.forwardedFor)
		}
		if c.forwarded != "" {
			req.Header.Set("Forwarded", c.forwarded)
		}
		IdentifyAddress(trusted, http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
			if got := req.Header.Get(web.ClientHeader); got != c.want {
				t.Errorf("%+v is %q", c, got)
			}
		})).ServeHTTP(httptest.NewRecorder(), req)
	}
}
