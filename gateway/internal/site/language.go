package site

import (
	"net/http"

	"github.com/labstack/echo/v4"
	"golang.org/x/text/language"

	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

// languageCookie has the language that the viewer chose. Without it the browser's languages decide.
const languageCookie = "lang"

// maxAccept bounds an Accept-Language header, in bytes. A longer one is ignored.
const maxAccept = 500

func (s *Site) textsFor(req *http.Request) texts {
	if cookie, err := req.Cookie(languageCookie); err == nil {
		for _, x := range s.texts {
			if x.lang == cookie.Value {
				return x
			}
		}
	}
	accept := req.Header.Get("Accept-Language")
	if len(accept) > maxAccept {
		return s.texts[0]
	}
	wanted, _, err := language.ParseAcceptLanguage(accept)
	if err != nil || len(wanted) == 0 {
		return s.texts[0]
	}
	_, i, _ := s.languages.Match(wanted...)
	return s.texts[i]
}

// ChooseLanguage takes the form at the foot of every page.
func (s *Site) ChooseLanguage(c echo.Context) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	for _, x := range s.texts {
		if x.lang == form.Get("lang") {
			s.SetCookie(c, languageCookie, x.lang)
			return c.Redirect(http.StatusSeeOther, localPath(form.Get("back")))
		}
	}
	return web.Errorf(http.StatusBadRequest, codes.UnknownLanguage, "there is no such language")
}
