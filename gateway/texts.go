package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/labstack/echo/v4"
	"golang.org/x/text/language"

	"flixtube/chassis"
)

// texts are one language's: English ones are their own keys, so English has none.
type texts struct {
	lang  string
	byKey map[string]string
	date  string // a layout of time.Format
}

// newTexts returns the languages that pages come in, the one for everybody else first. Scripts have the same
// texts, as modules.
func newTexts() []texts {
	ko, err := files.ReadFile("assets/ko.js")
	all := []texts{{lang: "en", date: "2 January 2006"}, {lang: "ko", date: "2006년 1월 2일"}}
	if err == nil {
		err = json.Unmarshal([]byte(strings.TrimPrefix(string(ko), "export default ")), &all[1].byKey)
	}
	if err != nil {
		panic(err) // the files are part of the binary
	}
	return all
}

// t returns a text with the values in the places of its %d and %s.
func (x texts) t(text string, values ...any) string {
	if own, ok := x.byKey[text]; ok {
		text = own
	}
	if len(values) == 0 {
		return text
	}
	return fmt.Sprintf(text, values...)
}

var number = regexp.MustCompile(`\d+`)

// message makes a sentence of what a service said, which has its numbers in it.
func (x texts) message(said string) string {
	key := number.ReplaceAllString(said, "%d")
	if own, ok := x.byKey[key]; ok {
		numbers := number.FindAllString(said, -1)
		for _, n := range numbers {
			own = strings.Replace(own, "%d", n, 1)
		}
		said = own
	}
	first, size := utf8.DecodeRuneInString(said)
	return string(unicode.ToUpper(first)) + strings.TrimSuffix(said[size:], ".") + "."
}

// list names several things.
func (x texts) list(keys []string) string {
	names := make([]string, len(keys))
	for i, key := range keys {
		names[i] = x.t(key)
	}
	return strings.Join(names, ", ")
}

func (x texts) title(v video) string {
	if v.Name == "" {
		return x.t("Untitled")
	}
	return v.Name
}

func (x texts) utc(t time.Time) string { return t.UTC().Format(x.date + ", 15:04 UTC") }
func (x texts) day(t time.Time) string {
	if t.IsZero() {
		return x.t("Without a date")
	}
	return t.Format(x.date)
}

// languageCookie holds what the viewer chose; by default the browser's languages decide.
const languageCookie = "lang"

// maxAccept bounds the Accept-Language header that is looked at, in bytes.
const maxAccept = 500

func (h *handler) textsFor(req *http.Request) texts {
	if cookie, err := req.Cookie(languageCookie); err == nil {
		for _, x := range h.texts {
			if x.lang == cookie.Value {
				return x
			}
		}
	}
	accept := req.Header.Get("Accept-Language")
	if len(accept) > maxAccept {
		return h.texts[0]
	}
	wanted, _, err := language.ParseAcceptLanguage(accept)
	if err != nil || len(wanted) == 0 {
		return h.texts[0]
	}
	_, i, _ := h.languages.Match(wanted...)
	return h.texts[i]
}

// chooseLanguage takes the form at the foot of every page.
func (h *handler) chooseLanguage(c echo.Context) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	for _, x := range h.texts {
		if x.lang == form.Get("lang") {
			c.SetCookie(&http.Cookie{
				Name: languageCookie, Value: x.lang, Path: "/", MaxAge: cookieAge, HttpOnly: true,
				SameSite: http.SameSiteLaxMode, Secure: h.secureCookie || c.Request().TLS != nil,
			})
			return c.Redirect(http.StatusSeeOther, local(form.Get("back")))
		}
	}
	return chassis.Errorf(http.StatusBadRequest, "there is no such language")
}

// local returns a path of ours, or the home page: what comes in a form must not lead to another site.
func local(path string) string {
	if strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") && !strings.ContainsFunc(path, func(r rune) bool {
		return r == '\\' || r <= ' ' || r == 0x7f
	}) {
		return path
	}
	return "/"
}

// seconds reads a place in a video, as in 90, 90.5, 1m30s or 1h2m3s; what is none of these is 0.
func seconds(s string) float64 {
	if n, err := strconv.ParseFloat(s, 64); err == nil && n > 0 && n < 1e7 {
		return n
	}
	if d, err := time.ParseDuration(s); err == nil && d > 0 && d < 1e7*time.Second {
		return d.Seconds()
	}
	return 0
}
