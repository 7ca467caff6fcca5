package site

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/text"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

// maxCode is longer than a recovery code with spaces in it, in characters.
const maxCode = 100

type recoveryPage struct {
	layout
	Code string
}

// MakeRecoveryCode answers with the viewer's new code. No other page shows it.
func (s *Site) MakeRecoveryCode(c echo.Context) error {
	ctx, cancel := s.changeContext(c)
	defer cancel()
	code, err := s.Services.Metadata.NewRecoveryCode(ctx, viewerOf(c))
	if err != nil {
		return changeError(err)
	}
	return s.render(c, http.StatusOK, "recovery.html", &recoveryPage{layout{Section: "upload"}, code})
}

// RevokeRecoveryCode makes it invalid. Browsers that have used it stay the same viewer.
func (s *Site) RevokeRecoveryCode(c echo.Context) error {
	ctx, cancel := s.changeContext(c)
	defer cancel()
	if err := s.Services.Metadata.RevokeRecoveryCode(ctx, viewerOf(c)); err != nil {
		return changeError(err)
	}
	return c.Redirect(http.StatusSeeOther, "/upload")
}

// UseRecoveryCode makes the browser the viewer whose code it is.
func (s *Site) UseRecoveryCode(c echo.Context) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	ctx, cancel := s.changeContext(c)
	defer cancel()
	id, err := s.Services.Metadata.RecoverViewer(ctx, viewerOf(c), text.Truncate(form.Get("code"), maxCode))
	err = changeError(err)
	var answer *web.Error
	if errors.As(err, &answer) && answer.Code == codes.RecoveryNotFound {
		return s.uploadPage(c, answer.Status, uploadForms{Recovery: s.textsFor(c.Request()).errors.of(answer)})
	}
	if err != nil {
		return err
	}
	s.SetViewer(c, id)
	return c.Redirect(http.StatusSeeOther, "/upload")
}
