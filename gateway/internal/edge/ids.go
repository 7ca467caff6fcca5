package edge

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/web"
	"flixtube/contracts/codes"
	"flixtube/contracts/limits"
)

// CheckID returns an error with status 400 unless id can be the id of something. An id becomes part of the address of an
// inner request: one that is too long would make that request invalid, which would be our fault then.
func CheckID(name, id string) error {
	if err := limits.CheckID(name, id); err != nil {
		return web.Errorf(http.StatusBadRequest, codes.InvalidID, "%s", err).With("name", name).With("max", limits.ID)
	}
	return nil
}

// CheckLanguage is CheckID for the tag of a language, which may be empty.
func CheckLanguage(tag string) error {
	if len(tag) > limits.Language {
		return web.Errorf(http.StatusBadRequest, codes.InvalidLanguage, "language must be a tag such as en, ko or zh-Hant")
	}
	return nil
}

// RejectedRequest returns the answer for a status by which a service rejects a request as too long or too slow, or nil for
// other statuses. Its HTTP server may do so before the service sees the request, with no code then.
func RejectedRequest(status int) *web.Error {
	switch status {
	case http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong, http.StatusRequestHeaderFieldsTooLarge:
		return web.Errorf(status, web.CodeBadRequest, "%s", http.StatusText(status))
	}
	return nil
}

// RequireID is CheckID for a parameter of the query.
func RequireID(name string) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if err := CheckID(name, c.QueryParam(name)); err != nil {
				return err
			}
			return next(c)
		}
	}
}

// RequireVideo answers 404 unless exists knows the video of a parameter of the query, and 502 if exists fails.
func RequireVideo(name string, exists func(ctx context.Context, viewer, id string) (bool, error)) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			found, err := exists(c.Request().Context(), web.Viewer(c.Request().Header), c.QueryParam(name))
			if err != nil {
				return web.NoAnswer().Because(err)
			}
			if !found {
				return web.Errorf(http.StatusNotFound, codes.VideoNotFound, "there is no such video")
			}
			return next(c)
		}
	}
}
