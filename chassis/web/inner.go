package web

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Inner guards a service that only other services and operators call, against pages of other sites in the browser of somebody
// who can reach it. It rejects requests that such a page sends, which browsers mark with Sec-Fetch-Site or Origin, and
// requests for a host name that anybody could point at the service (DNS rebinding).
func Inner(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection() // of methods that change something
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case !innerHost(req.Host):
			Errorf(http.StatusMisdirectedRequest, CodeBadRequest,
				"this service answers to IP addresses, and to names of one label or that end in .svc, .svc.cluster.local, .internal or .localhost").
				Write(w, req)
		case protection.Check(req) != nil, req.Header.Get("Sec-Fetch-Site") == "cross-site":
			Errorf(http.StatusForbidden, CodeBadRequest, "this request comes from another site").Write(w, req)
		default:
			next.ServeHTTP(w, req)
		}
	})
}

// innerHost reports whether a Host header holds an address, or a name that the public DNS cannot have.
func innerHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, suffix := range []string{".svc", ".svc.cluster.local", ".internal", ".localhost"} {
		if strings.HasSuffix(host, suffix) {
			return true
		}
	}
	return !strings.Contains(host, ".")
}
