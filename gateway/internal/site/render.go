package site

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"html/template"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/labstack/echo/v4"

	"flixtube/gateway/internal/services"
)

// templates are the pages by language and file name, each within the layout.
type templates map[string]map[string]*template.Template

func newTemplates(static assets, languages []texts) (templates, error) {
	all := templates{}
	for _, x := range languages {
		cards, err := newCards()
		if err != nil {
			return nil, err
		}
		common, err := template.New("").Funcs(template.FuncMap{
			"rendered": cards.render,
			"asset":    static.url, "card": newCard, "language": languageName, "initial": initial, "hue": hue, "rfc3339": rfc3339,
			"t": x.t, "list": x.list, "title": x.title, "utc": utc, "day": x.day,
			"views": x.views, "spoken": x.spoken, "short": short, "size": size[int64],
		}).ParseFS(files, "pages/layout.html", "pages/parts.html")
		if err != nil {
			return nil, err
		}
		if cards.template, err = common.Clone(); err != nil {
			return nil, err
		}
		all[x.lang] = map[string]*template.Template{}
		for _, name := range []string{"home.html", "watch.html", "history.html", "clear.html", "upload.html", "recovery.html", "error.html"} {
			page, err := common.Clone()
			if err != nil {
				return nil, err
			}
			if all[x.lang][name], err = page.ParseFS(files, path.Join("pages", name)); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// layout is what every page tells its frame. render sets Lang, and Here, which is the page's own address.
type layout struct {
	Section    string   // of the navigation
	Query      string   // in the search field
	Missing    []string // names of parts
	Lang, Here string
}

func (l *layout) frame() *layout { return l }

// render answers with a whole page, or, if the template fails, not at all.
func (s *Site) render(c echo.Context, status int, name string, data interface{ frame() *layout }) error {
	frame := data.frame()
	frame.Lang, frame.Here = s.textsFor(c.Request()).lang, "/"
	if c.Request().Method == echo.GET {
		frame.Here = localPath(c.Request().URL.RequestURI())
	}
	var page bytes.Buffer
	if err := s.templates[frame.Lang][name].ExecuteTemplate(&page, "layout", data); err != nil {
		return fmt.Errorf("render %s: %w", name, err)
	}
	header := c.Response().Header()
	header.Set("Cache-Control", "no-store") // a page belongs to one viewer and one moment
	header.Set("Content-Language", frame.Lang)
	header.Set("Content-Length", strconv.Itoa(page.Len()))
	return c.HTMLBlob(status, page.Bytes())
}

// card is a video in a list.
type card struct {
	services.Video
	Views   int64 // 0 if unknown
	Percent int   // watched; 0 if unknown, or not shown in this list
}

func newCard(v services.Video, views map[string]int64, percent int) card {
	return card{v, views[v.ID], percent}
}

// cards are those of one language. A card is rendered once and kept: a page has dozens, and they look the same to everybody.
type cards struct {
	template *template.Template
	kept     *lru.Cache[cardKey, template.HTML]
}

// cardKey is all that a card shows.
type cardKey struct {
	id, name   string
	uploadedAt time.Time
	duration   float64
	poster     bool
	views      int64
	percent    int
}

const maxCards = 1000

func newCards() (*cards, error) {
	kept, err := lru.New[cardKey, template.HTML](maxCards)
	return &cards{kept: kept}, err
}

func (s *cards) render(c card) (template.HTML, error) {
	key := cardKey{c.ID, c.Name, c.UploadedAt, c.Duration, c.Poster, c.Views, c.Percent}
	if html, ok := s.kept.Get(key); ok {
		return html, nil
	}
	var b strings.Builder
	if err := s.template.ExecuteTemplate(&b, "card", c); err != nil {
		return "", err
	}
	html := template.HTML(b.String()) //nolint:gosec // a template has escaped it
	s.kept.Add(key, html)
	return html, nil
}

// initial stands on the card of a video without a poster.
func initial(v services.Video) string {
	for _, r := range v.Name {
		if unicode.IsLetter(r) || unicode.IsNumber(r) {
			return string(unicode.ToUpper(r))
		}
	}
	return "▸"
}

// hue picks one of the twelve colours that the stylesheet has for cards, always the same one for a video.
func hue(v services.Video) uint32 {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(v.ID))
	return sum.Sum32() % 12
}

func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func utc(t time.Time) string { return t.UTC().Format("15:04 UTC") }
