package main

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"regexp"

	"github.com/labstack/echo/v4"

	"flixtube/chassis"
)

const viewerCookie = "viewer"

var issuedID = regexp.MustCompile(`^[A-Za-z0-9_-]{32}$`)

// newViewerID returns 192 random bits: whoever knows the id is the viewer.
func newViewerID() string {
	var b [24]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// identify puts the viewer of the cookie into X-Viewer-Id, over whatever the browser sent there. A browser
// without a usable cookie gets a new one, for 400 days, the longest that browsers keep any.
func identify(secure bool) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			req, id := c.Request(), ""
			for _, cookie := range req.CookiesNamed(viewerCookie) {
				if issuedID.MatchString(cookie.Value) {
					id = cookie.Value
					break
				}
			}
			if id == "" {
				id = newViewerID()
				c.SetCookie(&http.Cookie{
					Name: viewerCookie, Value: id, Path: "/", MaxAge: 400 * 24 * 3600,
					HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: secure || req.TLS != nil,
				})
			}
			req.Header.Set(chassis.ViewerHeader, id)
			return next(c)
		}
	}
}
