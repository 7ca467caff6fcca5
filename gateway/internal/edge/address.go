package edge

import (
	"net/http"
	"net/netip"
	"strings"

	"flixtube/chassis/process"
	"flixtube/chassis/web"
)

// IdentifyAddress puts the network address of the client into X-Client-Address, in the form by which limits are counted,
// and drops a header of that name from outside. A request from one of the trusted proxies is its client's: the right-most
// address of X-Forwarded-For, or of Forwarded (RFC 7239), that is no trusted proxy.
func IdentifyAddress(trusted []netip.Prefix, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		req.Header.Del(web.ClientHeader)
		if address := clientAddress(req, trusted); address.IsValid() {
			req.Header.Set(web.ClientHeader, process.ClientAddr(address).String())
		}
		next.ServeHTTP(w, req)
	})
}

func clientAddress(req *http.Request, trusted []netip.Prefix) netip.Addr {
	remote, ok := parseHop(req.RemoteAddr)
	if !ok || !process.Contains(trusted, remote) {
		return remote
	}
	hops := hopsOf(req.Header)
	for i := len(hops) - 1; i >= 0; i-- {
		hop, ok := parseHop(hops[i])
		if !ok {
			break // the proxy that wrote it hides its client, or the client wrote it
		}
		if remote = hop; !process.Contains(trusted, hop) {
			break
		}
	}
	return remote
}

// hopsOf returns the addresses in the header by which proxies forward them, the last added last. A request with both
// headers has none: the proxy writes one of them, and then the other is the client's.
func hopsOf(header http.Header) []string {
	forwardedFor, forwarded := header.Values("X-Forwarded-For"), header.Values("Forwarded")
	switch {
	case len(forwardedFor) > 0 && len(forwarded) > 0:
		return nil
	case len(forwardedFor) > 0:
		return strings.Split(strings.Join(forwardedFor, ","), ",")
	case len(forwarded) == 0:
		return nil
	}
	// A comma in quotes splits an element, too: proxies write none, and a quote that a client left open must not swallow
	// the element that the proxy appended.
	hops := strings.Split(strings.Join(forwarded, ","), ",")
	for i, element := range hops {
		hops[i] = ""
		for pair := range strings.SplitSeq(element, ";") {
			if name, value, _ := strings.Cut(strings.TrimSpace(pair), "="); strings.EqualFold(name, "for") {
				hops[i] = strings.Trim(value, `"`)
			}
		}
	}
	return hops
}

// parseHop reads an address with or without a port.
func parseHop(s string) (netip.Addr, bool) {
	s = strings.TrimSpace(s)
	if withPort, err := netip.ParseAddrPort(s); err == nil {
		return withPort.Addr().Unmap(), true
	}
	address, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	return address.Unmap(), err == nil
}
