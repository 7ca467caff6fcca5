package main

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"regexp"
	"strings"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/web"
)

const (
	viewerCookie = "viewer"
	cookieAge    = 400 * 24 * 3600 // seconds; no browser keeps a cookie longer
)

var issuedID = regexp.MustCompile(`^[A-Za-z0-9_-]{32}$`)

// newViewerID returns 192 random bits: whoever knows the id is the viewer.
func newViewerID() string {
	var b [24]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// viewerOf returns the viewer of the cookie, or "".
func viewerOf(req *http.Request) string {
	for _, cookie := range req.CookiesNamed(viewerCookie) {
		if issuedID.MatchString(cookie.Value) {
			return cookie.Value
		}
	}
	return ""
}

// identify puts the viewer of the cookie into X-Viewer-Id, over whatever the browser sent there. A browser
// without a usable cookie gets a new one; with pages each gets its own again, which so never ends.
func identify(secure bool) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			req := c.Request()
			id := viewerOf(req)
			known := id != ""
			if !known {
				id = newViewerID()
			}
			if !known || !strings.HasPrefix(req.URL.Path, "/api/") {
				c.SetCookie(&http.Cookie{
					Name: viewerCookie, Value: id, Path: "/", MaxAge: cookieAge,
					HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: secure || req.TLS != nil,
				})
			}
			req.Header.Set(web.ViewerHeader, id)
			return next(c)
		}
	}
}
