package edge

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/requestid"
)

// securityHeaders are on every answer. A page may load nothing but what comes from here, and no script or style stands
// in a page itself. blob: is a file that the viewer chose; the upload page makes a picture of it.
var securityHeaders = map[string]string{
	"Content-Security-Policy": "default-src 'none'; img-src 'self'; media-src 'self' blob:; style-src 'self'; " +
		"script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
	"X-Content-Type-Options": "nosniff",

	"Cross-Origin-Resource-Policy": "same-origin", // for browsers that come by HTTP, and so send no Sec-Fetch-Site
	"Referrer-Policy":              "same-origin",
}

// SecurityHeaders sets them.
func SecurityHeaders(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		for name, value := range securityHeaders {
			c.Response().Header().Set(name, value)
		}
		return next(c)
	}
}

// dropOwnHeaders removes the headers of a service's answer that the gateway sets itself.
func dropOwnHeaders(res *http.Response) error {
	for name := range securityHeaders {
		res.Header.Del(name)
	}
	res.Header.Del(requestid.Header)
	res.Header.Del("Set-Cookie")
	return nil
}
