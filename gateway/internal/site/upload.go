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

type uploadPage struct {
	layout
	Problems []string // with the last try
}

// UploadPage has the form for UploadForm. Its script does not use that form: it uploads by the tus protocol.
func (s *Site) UploadPage(c echo.Context) error {
	return s.render(c, http.StatusOK, "upload.html", &uploadPage{layout: layout{Section: "upload"}})
}

// UploadForm takes the files of a form, for browsers without scripts. It streams one after another.
func (s *Site) UploadForm(c echo.Context) error {
	form, err := c.Request().MultipartReader()
	if err != nil {
		return web.Errorf(http.StatusUnsupportedMediaType, codes.NotAFileForm, "this is not a form with a file")
	}
	err = s.uploadFiles(c, form)
	var rejected *rejectedFile
	if errors.As(err, &rejected) {
		return s.showRejected(c, rejected)
	}
	if err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, "/")
}

// showRejected answers with the form, which says what was wrong with the file.
func (s *Site) showRejected(c echo.Context, rejected *rejectedFile) error {
	texts, answer := s.textsFor(c.Request()), web.AsError(rejected.error)
	web.Log(s.Log, c.Request(), answer.Status, rejected)
	problems := []string{texts.errors.of(answer)}
	if rejected.name != "" {
		problems[0] = texts.t("“%s”: %s", rejected.name, problems[0])
	}
	if rejected.accepted > 0 {
		problems = append(problems, texts.t("Videos accepted: %d. Not accepted: “%s” and the files after it.", rejected.accepted, rejected.name))
	}
	return s.render(c, answer.Status, "upload.html", &uploadPage{layout{Section: "upload"}, problems})
}

// rejectedFile is an error at one file of a form, perhaps after others were accepted.
type rejectedFile struct {
	error
	accepted int
	name     string // of the file
}

func (r *rejectedFile) Unwrap() error { return r.error }

func (s *Site) uploadFiles(c echo.Context, form *multipart.Reader) error {
	accepted := 0
	for {
		file, err := form.NextPart()
		if errors.Is(err, io.EOF) && accepted > 0 {
			return nil
		}
		if errors.Is(err, io.EOF) {
			return &rejectedFile{error: web.Errorf(http.StatusBadRequest, codes.NoFile, "choose a video first")}
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
		if err != nil {
			return &rejectedFile{err, accepted, text.Line(file.FileName())}
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
