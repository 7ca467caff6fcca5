package edge

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"flixtube/chassis/process"
)

// FuzzClientAddress: whatever a client writes into the headers of proxies, the address that the trusted proxy appends is
// the client's. Without one the address is that of the proxy, or one that is written in the headers.
func FuzzClientAddress(f *testing.F) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	proxy, client := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("203.0.113.9")
	f.Fuzz(func(t *testing.T, forwardedFor, forwarded string) {
		for _, request := range []struct {
			header http.Header
			want   netip.Addr // invalid: any
		}{
			{http.Header{"X-Forwarded-For": {forwardedFor, client.String()}}, client},
			{http.Header{"X-Forwarded-For": {forwardedFor + ", " + client.String()}}, client},
			{http.Header{"Forwarded": {forwarded, "for=" + client.String()}}, client},
			{http.Header{"Forwarded": {forwarded + `, for="` + client.String() + `:1234";proto=https`}}, client},
			{http.Header{"X-Forwarded-For": {forwardedFor}, "Forwarded": {forwarded}}, proxy},
			{http.Header{"X-Forwarded-For": {forwardedFor}}, netip.Addr{}},
			{http.Header{"Forwarded": {forwarded}}, netip.Addr{}},
		} {
			req := &http.Request{RemoteAddr: "10.0.0.1:4711", Header: request.header}
			got := clientAddress(req, trusted)
			if !got.IsValid() || request.want.IsValid() && got != request.want {
				t.Errorf("%v: %v, want %v", request.header, got, request.want)
			}
			if id := process.ClientAddr(got).String(); strings.ContainsAny(id, " \r\n,%") {
				t.Errorf("%v: counted as %q", request.header, id)
			}
		}
	})
}
