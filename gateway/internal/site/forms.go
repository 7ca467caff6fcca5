package site

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/process"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

// maxForm bounds forms without files, in bytes. The largest holds a percent-encoded name.
const maxForm = 64 << 10

const formType = "application/x-www-form-urlencoded"

var (
	errInvalidForm = web.Errorf(http.StatusBadRequest, codes.InvalidForm, "the form cannot be read")
	errNoForm      = web.Errorf(http.StatusUnsupportedMediaType, codes.InvalidForm, "the form must be "+formType)
)

func readForm(c echo.Context) (url.Values, error) {
	req := c.Request()
	if contentType, _, err := mime.ParseMediaType(req.Header.Get("Content-Type")); err != nil || contentType != formType {
		return nil, errNoForm
	}
	req.Body = http.MaxBytesReader(c.Response(), req.Body, maxForm)
	if err := req.ParseForm(); err != nil {
		return nil, formError(err)
	}
	return req.PostForm, nil
}

// formError is the answer to a form that cannot be read.
func formError(err error) error {
	if errors.Is(err, process.ErrBodyTimeout) {
		return web.BodyTimeout()
	}
	return errInvalidForm.Because(err)
}

// changeContext bounds how long a service may take for a change.
func (s *Site) changeContext(c echo.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.Request().Context(), s.ChangeTimeout)
}

// localPath returns path if it is one of ours, otherwise the home page: a form must not redirect to another site.
func localPath(path string) string {
	if strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") && !strings.ContainsFunc(path, func(r rune) bool {
		return r == '\\' || r <= ' ' || r == 0x7f
	}) {
		return path
	}
	return "/"
}
