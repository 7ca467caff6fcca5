package edge

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/requestid"
	"flixtube/chassis/web"
)

const (
	viewerCookie = "viewer"
	hostPrefix   = "__Host-"       // browsers take such a cookie by HTTPS alone, and from no other host of the domain
	cookieAge    = 400 * 24 * 3600 // seconds; no browser keeps a cookie longer
)

const viewerLength = 32 // characters of an id

func wasIssued(id string) bool { return len(id) == viewerLength && requestid.IsToken(id, viewerLength) }

// newViewerID returns 192 random bits. To know a viewer's cookie is to be that viewer.
func newViewerID() string {
	var b [24]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Cookies sets the site's cookies, all with the same attributes.
type Cookies struct {
	Secure bool // also when the request came without TLS: a proxy in front of the gateway ended it
}

// Set adds a cookie to the answer.
func (s Cookies) Set(c echo.Context, name, value string) { s.set(c, name, value, cookieAge) }

func (s Cookies) set(c echo.Context, name, value string, age int) {
	c.SetCookie(&http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: age,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: s.secure(c.Request()),
	})
}

func (s Cookies) secure(req *http.Request) bool { return s.Secure || req.TLS != nil }

// Viewers knows viewers by a signed cookie: <id>.<HMAC-SHA256 of the id>.
type Viewers struct {
	Cookies

	// Keys are one or more. The first signs; what the others have signed is still accepted.
	Keys [][]byte

	// UnsignedUntil ends the time in which the cookies of earlier versions are replaced by signed ones for the same viewer:
	// unsigned, or without the prefix __Host-. Afterwards their viewers are unknown.
	UnsignedUntil time.Time
}

// Sign returns the value of a viewer's cookie.
func (v Viewers) Sign(id string) string { return id + "." + signature(v.Keys[0], id) }

func signature(key []byte, id string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("viewer " + id)) // and nothing else that may come to be signed
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// verify returns the viewer of a cookie's value, or "".
func (v Viewers) verify(value string) string {
	id, signed, _ := strings.Cut(value, ".")
	if !wasIssued(id) {
		return ""
	}
	for _, key := range v.Keys {
		if hmac.Equal([]byte(signed), []byte(signature(key, id))) {
			return id
		}
	}
	return ""
}

// Become makes the browser that viewer, from its next request on, in the place of the viewer that Identify has set.
func (v Viewers) Become(c echo.Context, id string) {
	name, header := v.cookieName(c.Request()), c.Response().Header()
	header["Set-Cookie"] = slices.DeleteFunc(header["Set-Cookie"], func(cookie string) bool { return strings.HasPrefix(cookie, name+"=") })
	v.Set(c, name, v.Sign(id))
}

func (v Viewers) cookieName(req *http.Request) string {
	if v.secure(req) {
		return hostPrefix + viewerCookie
	}
	return viewerCookie
}

// viewer is the one of a request's cookie.
type viewer struct {
	id  string // "" if there is none
	old bool   // the cookie is one of an earlier version
}

type viewerKey struct{}

func viewerOf(req *http.Request) viewer {
	v, _ := req.Context().Value(viewerKey{}).(viewer)
	return v
}

// of checks the cookies of a request.
func (v Viewers) of(req *http.Request) viewer {
	for _, cookie := range req.CookiesNamed(v.cookieName(req)) {
		if id := v.verify(cookie.Value); id != "" {
			return viewer{id, false}
		}
	}
	if time.Now().After(v.UnsignedUntil) {
		return viewer{}
	}
	for _, cookie := range req.CookiesNamed(viewerCookie) {
		if id := v.verify(cookie.Value); id != "" {
			return viewer{id, true}
		}
		if wasIssued(cookie.Value) {
			return viewer{cookie.Value, true}
		}
	}
	return viewer{}
}

// Recognize looks at the cookie of each request once, for the limits and for Identify.
func (v Viewers) Recognize(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		next.ServeHTTP(w, req.WithContext(context.WithValue(req.Context(), viewerKey{}, v.of(req))))
	})
}

// ForNewViewers answers in the place of the handler to those who come without a valid cookie. Of such a viewer there is nothing yet
// to change, and each of these requests is another viewer's: it would store something each time. Recognize goes before.
func ForNewViewers(answer echo.HandlerFunc) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if viewerOf(c.Request()).id == "" {
				return answer(c)
			}
			return next(c)
		}
	}
}

// Identify puts the viewer of the cookie into X-Viewer-Id, and drops a header of that name from outside. A browser without a
// valid cookie gets a new one. Every page renews the cookie, so that it does not expire. Recognize goes before.
func (v Viewers) Identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		req := c.Request()
		who := viewerOf(req)
		known := who.id != ""
		if !known {
			who.id = newViewerID()
		}
		if !known || who.old || !IsAPI(req) {
			v.Set(c, v.cookieName(req), v.Sign(who.id))
		}
		if who.old && v.secure(req) {
			v.set(c, viewerCookie, "", -1)
		}
		req.Header.Set(web.ViewerHeader, who.id)
		return next(c)
	}
}
