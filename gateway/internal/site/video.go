package site

import (
	"encoding/json"
	"errors"
	"net/http"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/web"
	"flixtube/contracts/codes"
	"flixtube/gateway/internal/edge"
)

// Rename takes the owner's form on the watch page.
func (s *Site) Rename(c echo.Context) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	err = s.rename(c, form.Get("id"), form.Get("name"))
	var answer *web.Error
	if errors.As(err, &answer) && answer.Code == codes.InvalidName {
		return s.watch(c, form.Get("id"), answer.Status, ownerForms{Rename: s.textsFor(c.Request()).errors.of(answer)})
	}
	if err != nil {
		return err
	}
	return redirectToVideo(c, form.Get("id"))
}

// RenameByScript takes {"name":…}. It answers without a body: metadata's answer contains the owner's id, which scripts must
// not read.
func (s *Site) RenameByScript(c echo.Context) error {
	body, err := web.ReadBody(c.Response(), c.Request(), maxForm)
	if err != nil {
		return err
	}
	var change struct {
		Name string `json:"name"`
	}
	if !utf8.Valid(body) || json.Unmarshal(body, &change) != nil {
		return web.Errorf(http.StatusBadRequest, codes.InvalidBody, `the body must be JSON: {"name":"..."}`)
	}
	if err := s.rename(c, c.QueryParam("id"), change.Name); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func (s *Site) rename(c echo.Context, id, name string) error {
	if err := edge.CheckID("id", id); err != nil {
		return err
	}
	ctx, cancel := s.changeContext(c)
	defer cancel()
	return changeError(s.Services.Metadata.Rename(ctx, viewerOf(c), id, name))
}

// Remove takes the owner's form on the watch page and on the upload page.
func (s *Site) Remove(c echo.Context) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	if err := edge.CheckID("id", form.Get("id")); err != nil {
		return err
	}
	ctx, cancel := s.changeContext(c)
	defer cancel()
	if err := s.Services.Metadata.Remove(ctx, viewerOf(c), form.Get("id")); err != nil {
		return changeError(err)
	}
	return c.Redirect(http.StatusSeeOther, localPath(form.Get("back")))
}
