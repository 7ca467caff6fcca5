package edge

import (
	"errors"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/proxy"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

// An upload's id becomes part of the path of a request to video-upload.
var (
	uploadID   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	uploadPath = regexp.MustCompile(`/uploads/[A-Za-z0-9_-]{1,64}$`)
)

// CheckUploadID returns an error with status 404 unless id can be that of an upload.
func CheckUploadID(id string) error {
	if !uploadID.MatchString(id) {
		return web.Errorf(http.StatusNotFound, codes.UploadNotFound, "there is no such upload")
	}
	return nil
}

// Tus forwards the tus protocol to video-upload. Only the protocol's headers are forwarded that these routes need:
// X-HTTP-Method-Override, for one, would bypass the methods that are allowed here.
func (p Proxies) Tus(videoUpload *url.URL) echo.HandlerFunc {
	headers := forward("Tus-Resumable", "Upload-Length", "Upload-Offset", "Upload-Metadata", "Content-Type", "Expect")
	uploads := proxy.New(videoUpload.JoinPath("uploads"), p.Transport, p.Log, func(r *httputil.ProxyRequest) {
		headers(r)
		r.Out.URL = r.Out.URL.JoinPath(strings.TrimPrefix(r.In.URL.Path, "/api/uploads"))
		r.Out.URL.RawQuery = ""
	}, func(res *http.Response) error {
		location, err := res.Location()
		res.Header.Del("Location")
		if res.Request.Method == http.MethodPost && res.StatusCode == http.StatusCreated {
			if err != nil || !uploadPath.MatchString(location.Path) {
				return errors.New("an upload was created without a usable Location")
			}
			res.Header.Set("Location", "/api"+uploadPath.FindString(location.Path))
		}
		return dropOwnHeaders(res)
	})
	return func(c echo.Context) error {
		if len(c.ParamNames()) > 0 {
			if err := CheckUploadID(c.Param("id")); err != nil {
				return err
			}
		}
		uploads.ServeHTTP(c.Response(), c.Request())
		return nil
	}
}
