package site

import (
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"
	"golang.org/x/text/language"
	"golang.org/x/text/language/display"

	"flixtube/chassis/text"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
	"flixtube/contracts/limits"
	"flixtube/gateway/internal/edge"
)

// captionLanguage is one that the owner can choose.
type captionLanguage struct{ Tag, Name string }

var captionTags = strings.Fields("ar bn cs da de el en es fa fi fil fr he hi hu id it ja ko ms nl no pl pt ro ru sv ta th tr uk ur vi zh-Hans zh-Hant")

// languageName is what its speakers call a language.
func languageName(tag string) string {
	if name := display.Self.Name(language.Make(tag)); name != "" {
		return name
	}
	return tag
}

func captionLanguages() []captionLanguage {
	all := make([]captionLanguage, len(captionTags))
	for i, tag := range captionTags {
		all[i] = captionLanguage{tag, languageName(tag)}
	}
	return all
}

// captionsForm is the owner's form on the watch page.
type captionsForm struct {
	id, language, fileName string
	file                   []byte
}

// AddCaptions takes it. A file that is rejected is named on the page, with the line that is wrong.
func (s *Site) AddCaptions(c echo.Context) error {
	form, err := readCaptionsForm(c)
	if err == nil {
		ctx, cancel := s.changeContext(c)
		defer cancel()
		err = changeError(s.Services.Metadata.PutCaptions(ctx, viewerOf(c), form.id, form.language, form.file))
	}
	var answer *web.Error
	switch {
	case err == nil:
		return redirectToVideo(c, form.id)
	case form.id == "" || !errors.As(err, &answer) || answer.Code == codes.VideoNotFound || answer.Code == codes.NotOwner:
		return err
	}
	texts := s.textsFor(c.Request())
	problem := texts.errors.of(answer)
	if form.fileName != "" {
		problem = texts.t("“%s”: %s", form.fileName, problem)
	}
	web.Log(s.Log, c.Request(), answer.Status, err)
	return s.watch(c, form.id, answer.Status, ownerForms{Captions: problem})
}

// readCaptionsForm reads the fields in the order in which the page has them. After an error the form has those before.
func readCaptionsForm(c echo.Context) (form captionsForm, err error) {
	req := c.Request()
	req.Body = http.MaxBytesReader(c.Response(), req.Body, limits.Captions+maxForm)
	parts, err := req.MultipartReader()
	if err != nil {
		return form, web.Errorf(http.StatusUnsupportedMediaType, codes.NotAFileForm, "this is not a form with a file")
	}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return form, formError(err)
		}
		if err := form.read(part); err != nil {
			return form, err
		}
	}
	if form.fileName == "" {
		return form, web.Errorf(http.StatusBadRequest, codes.NoCaptionsFile, "choose a file with captions first")
	}
	return form, edge.CheckID("id", form.id)
}

func (f *captionsForm) read(part *multipart.Part) error {
	content, err := io.ReadAll(io.LimitReader(part, limits.Captions+1))
	var tooLarge *http.MaxBytesError
	if err != nil && !errors.As(err, &tooLarge) {
		return formError(err)
	}
	switch part.FormName() {
	case "id":
		if err := edge.CheckID("id", string(content)); err != nil {
			return err
		}
		f.id = string(content)
	case "language":
		if err := edge.CheckLanguage(string(content)); err != nil {
			return err
		}
		f.language = string(content)
	case "file":
		f.file, f.fileName = content, text.Truncate(part.FileName(), limits.Name)
	}
	if tooLarge != nil || len(content) > limits.Captions {
		return web.Errorf(http.StatusRequestEntityTooLarge, web.CodeBodyTooLarge, "captions may have up to %d bytes", limits.Captions).
			With("max", limits.Captions)
	}
	return nil
}

// RemoveCaptions takes the form of one language.
func (s *Site) RemoveCaptions(c echo.Context) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	id, tag := form.Get("id"), form.Get("language")
	if err := edge.CheckID("id", id); err != nil {
		return err
	}
	if err := edge.CheckLanguage(tag); err != nil {
		return err
	}
	ctx, cancel := s.changeContext(c)
	defer cancel()
	if err := s.Services.Metadata.RemoveCaptions(ctx, viewerOf(c), id, tag); err != nil {
		return changeError(err)
	}
	return redirectToVideo(c, id)
}

func redirectToVideo(c echo.Context, id string) error {
	return c.Redirect(http.StatusSeeOther, "/video?"+url.Values{"id": {id}}.Encode())
}
