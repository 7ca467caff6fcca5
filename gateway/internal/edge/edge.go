// Package edge is what stands between the viewers' browsers and the services: request ids, the viewer's cookie, rate limits,
// security headers, and the proxies. Whatever comes from outside is checked or dropped here.
package edge

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"flixtube/chassis/requestid"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

// IsAPI reports whether a request comes from a script or a program and not from a page or form. Its errors are JSON.
func IsAPI(req *http.Request) bool { return strings.HasPrefix(req.URL.Path, "/api/") }

// NewRequestID gives each request an id of its own, whatever id the client sent.
func NewRequestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		req.Header.Set(requestid.Header, requestid.New())
		next.ServeHTTP(w, req)
	})
}

var errCrossOrigin = web.Errorf(http.StatusForbidden, codes.CrossOrigin, "this request comes from another site")

// SameOrigin rejects requests that change something and were sent by another site's page.
func SameOrigin() echo.MiddlewareFunc {
	protection := http.NewCrossOriginProtection()
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if err := protection.Check(c.Request()); err != nil {
				return errCrossOrigin
			}
			return next(c)
		}
	}
}

// OwnPages rejects requests of other sites' pages for what the site's own pages embed. A video in a page of another site would
// use this site's bandwidth, and count views that nobody decided on.
func OwnPages(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		header := c.Request().Header
		switch header.Get("Sec-Fetch-Site") {
		case "none", "same-origin": // typed into the address bar, or ours
			return next(c)
		case "": // not a browser, or an old one, or one by HTTP: these name the page, unless it forbids that
			from := cmp.Or(header.Get("Origin"), header.Get("Referer"))
			if page, err := url.Parse(from); from == "" || err == nil && page.Host == c.Request().Host {
				return next(c)
			}
		}
		return errCrossOrigin
	}
}

// Compress gzips pages and assets. Not ranges: they count the bytes of the uncompressed representation (RFC 9110,
// section 14.4).
func Compress() echo.MiddlewareFunc {
	return middleware.GzipWithConfig(middleware.GzipConfig{Skipper: func(c echo.Context) bool {
		req := c.Request()
		return req.Method != http.MethodGet || IsAPI(req) || req.Header.Get("Range") != ""
	}})
}
