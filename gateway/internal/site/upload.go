package site

import (
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/text"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
	"flixtube/contracts/limits"
	"flixtube/gateway/internal/edge"
	"flixtube/gateway/internal/services"
)

type uploadPage struct {
	layout
	Unfinished []services.Upload
	Own        []services.Video
	Pager      pager // of Own
	HasCode    bool  // for another browser
	Rejected   uploadForms
}

// uploadForms says why one of the forms on the page was rejected.
type uploadForms struct {
	Files    []string
	Recovery string
}

// UploadPage has the form for UploadForm, and what the viewer has uploaded. Its script does not use that form: it uploads by
// the tus protocol.
func (s *Site) UploadPage(c echo.Context) error { return s.uploadPage(c, http.StatusOK, uploadForms{}) }

func (s *Site) uploadPage(c echo.Context, status int, rejected uploadForms) error {
	skip, _, err := web.Page(c.QueryParams(), pageSize)
	if err != nil {
		return errNoSuchPage
	}
	viewer := viewerOf(c)
	page := &uploadPage{layout: layout{Section: "upload"}, Rejected: rejected}
	page.Missing = s.compose(c, part{"unfinished uploads", func(ctx context.Context) (err error) {
		page.Unfinished, err = s.Services.VideoUpload.Unfinished(ctx, viewer)
		return err
	}}, part{"your videos", func(ctx context.Context) (err error) {
		page.Own, err = s.Services.Metadata.Own(ctx, viewer, skip, pageSize+1)
		return err
	}}, part{"the recovery code", func(ctx context.Context) (err error) {
		page.HasCode, err = s.Services.Metadata.HasRecoveryCode(ctx, viewer)
		return err
	}})
	page.Own, page.Pager = paginate(page.Own, skip, "/upload", "")
	return s.render(c, status, "upload.html", page)
}

// RemoveUpload takes the form of an unfinished upload.
func (s *Site) RemoveUpload(c echo.Context) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	if err := edge.CheckUploadID(form.Get("id")); err != nil {
		return err
	}
	ctx, cancel := s.changeContext(c)
	defer cancel()
	if err := s.Services.VideoUpload.Remove(ctx, viewerOf(c), form.Get("id")); err != nil {
		return changeError(err)
	}
	return c.Redirect(http.StatusSeeOther, "/upload")
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
	if answer.Status == http.StatusServiceUnavailable {
		c.Response().Header().Set("Retry-After", retryUpload)
	}
	problems := []string{texts.errors.of(answer)}
	if rejected.name != "" {
		problems[0] = texts.t("“%s”: %s", rejected.name, problems[0])
	}
	if rejected.accepted > 0 {
		problems = append(problems, texts.t("Videos accepted: %d. Not accepted: “%s” and the files after it.", rejected.accepted, rejected.name))
	}
	return s.uploadPage(c, answer.Status, uploadForms{Files: problems})
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
			return formError(err)
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
			err = s.uploadFile(c, file)
		}
		if err != nil {
			return &rejectedFile{err, accepted, text.Line(file.FileName())}
		}
		accepted++
	}
}

func (s *Site) uploadFile(c echo.Context, file *multipart.Part) error {
	content := web.NewBody(io.NopCloser(file))
	err := s.Services.VideoUpload.Upload(c.Request().Context(), viewerOf(c), web.Client(c.Request().Header), file.FileName(),
		file.Header.Get("Content-Type"), content)
	var incomplete *web.Error
	if errors.Is(err, context.Canceled) {
		incomplete = web.BodyError(content)
	}
	if incomplete != nil || errors.As(err, &incomplete) {
		return incomplete
	}
	return answerOf(err, errUploadFailed)
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

const (
	maxContentType = 200  // bytes
	retryUpload    = "10" // seconds
)
