package site

import (
	"errors"
	"io"
	"mime/multipart"
	"net/http"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/text"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
	"flixtube/contracts/limits"
)

// UploadPage has the form for UploadForm. Its script does not use that form: it uploads by the tus protocol.
func (s *Site) UploadPage(c echo.Context) error {
	return s.render(c, http.StatusOK, "upload.html", &layout{Section: "upload"})
}

// UploadForm takes the files of a form, for browsers without scripts. It streams one after another.
func (s *Site) UploadForm(c echo.Context) error {
	form, err := c.Request().MultipartReader()
	if err != nil {
		return web.Errorf(http.StatusUnsupportedMediaType, codes.NotAFileForm, "this is not a form with a file")
	}
	if err := s.uploadFiles(c, form); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, "/")
}

// partialUpload is an error at one file of a form, after others were accepted.
type partialUpload struct {
	error
	accepted int
	rejected string // the name of the file
}

func (p *partialUpload) Unwrap() error { return p.error }

func (s *Site) uploadFiles(c echo.Context, form *multipart.Reader) error {
	accepted := 0
	for {
		file, err := form.NextPart()
		if errors.Is(err, io.EOF) && accepted > 0 {
			return nil
		}
		if errors.Is(err, io.EOF) {
			return web.Errorf(http.StatusBadRequest, codes.NoFile, "choose a video first")
		}
		if err != nil {
			return errInvalidForm.Because(err)
		}
		if file.FileName() == "" {
			continue
		}
		if accepted > 0 { // the request was charged for its first file
			err = s.ChargeUpload(c)
		}
		if err == nil {
			err = checkPart(file)
		}
		if err == nil {
			err = answerOf(s.Services.VideoUpload.Upload(c.Request().Context(), viewerOf(c), web.Client(c.Request().Header), file.FileName(),
				file.Header.Get("Content-Type"), file), errUploadFailed)
		}
		if err != nil && accepted > 0 {
			return &partialUpload{err, accepted, text.Line(file.FileName())}
		}
		if err != nil {
			return err
		}
		accepted++
	}
}

// checkPart rejects a file whose name or type would make the headers of the request to video-upload too long.
func checkPart(file *multipart.Part) error {
	if len(file.FileName()) > limits.FileName {
		return web.Errorf(http.StatusBadRequest, codes.FileNameTooLong, "the file name may have at most %d bytes", limits.FileName).
			With("max", limits.FileName)
	}
	if len(file.Header.Get("Content-Type")) > maxContentType {
		return errInvalidForm
	}
	return nil
}

const maxContentType = 200 // bytes
