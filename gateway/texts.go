package main

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/labstack/echo/v4"
	"golang.org/x/text/language"

	"flixtube/chassis/web"
	"flixtube/contracts/codes"
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

// views is how often a video was watched; scripts write large numbers shorter.
func (x texts) views(n int64) string { return x.count(n, "%d view", "%d views") }

func (x texts) count(n int64, one, many string) string {
	if n == 1 {
		return x.t(one, n)
	}
	return x.t(many, n)
}

// spoken is a duration in words, for those who don't see it on the picture.
func (x texts) spoken(duration float64) string {
	var words []string
	h, m, s := clock(duration)
	for _, unit := range []struct {
		n         int64
		one, many string
	}{{h, "%d hour", "%d hours"}, {m, "%d minute", "%d minutes"}, {s, "%d second", "%d seconds"}} {
		if unit.n > 0 {
			words = append(words, x.count(unit.n, unit.one, unit.many))
		}
	}
	return strings.Join(words, " ")
}

// short is a duration as on a player: m:ss or h:mm:ss.
func short(duration float64) string {
	h, m, s := clock(duration)
	if h > 0 {
		return fmt.Sprintf("%d:%02d:%02d", h, m, s)
	}
	return fmt.Sprintf("%d:%02d", m, s)
}

// clock rounds, but not to nothing.
func clock(duration float64) (h, m, s int64) {
	n := max(1, int64(math.Round(duration)))
	return n / 3600, n / 60 % 60, n % 60
}

func (x texts) day(t time.Time) string {
	if t.IsZero() {
		return x.t("Without a date")
	}
	return t.UTC().Format(x.date)
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
	return web.Errorf(http.StatusBadRequest, codes.UnknownLanguage, "there is no such language")
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

// seconds reads a place in a video, as in 90, 90.5, 1m30s or 1h2m3s, and returns whether it is one.
func seconds(s string) (place float64, ok bool) {
	if n, err := strconv.ParseFloat(s, 64); err == nil && n >= 0 && n < maxDuration {
		return n, true
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 && d < maxDuration*time.Second {
		return d.Seconds(), true
	}
	return 0, false
}
