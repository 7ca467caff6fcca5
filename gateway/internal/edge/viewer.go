package edge

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"regexp"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/web"
)

const (
	viewerCookie = "viewer"
	cookieAge    = 400 * 24 * 3600 // seconds; no browser keeps a cookie longer
)

var issuedID = regexp.MustCompile(`^[A-Za-z0-9_-]{32}$`)

// newViewerID returns 192 random bits. To know a viewer's id is to be that viewer.
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

// Cookies sets the site's cookies, all with the same attributes.
type Cookies struct {
	Secure bool // also when the request came without TLS: a proxy in front of the gateway ended it
}

// Set adds a cookie to the answer.
func (s Cookies) Set(c echo.Context, name, value string) {
	c.SetCookie(&http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: cookieAge,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: s.Secure || c.Request().TLS != nil,
	})
}

// IdentifyViewer puts the viewer of the cookie into X-Viewer-Id, and drops a header of that name from outside. A browser
// without a valid cookie gets a new one. Every page renews the cookie, so that it does not expire.
func IdentifyViewer(cookies Cookies) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			req := c.Request()
			id := viewerOf(req)
			known := id != ""
			if !known {
				id = newViewerID()
			}
			if !known || !IsAPI(req) {
				cookies.Set(c, viewerCookie, id)
			}
			req.Header.Set(web.ViewerHeader, id)
			return next(c)
		}
	}
}
