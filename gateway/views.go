package main

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"html/template"
	"path"
	"strconv"
	"time"
	"unicode"

	"github.com/labstack/echo/v4"
)

// views are the pages' templates by language and file name, each within the layout.
type views map[string]map[string]*template.Template

func newViews(static assets, languages []texts) views {
	all := views{}
	for _, x := range languages {
		common := template.Must(template.New("").Funcs(template.FuncMap{
			"asset": static.url, "initial": initial, "hue": hue, "rfc3339": rfc3339,
			"t": x.t, "list": x.list, "title": x.title, "utc": utc, "day": x.day,
			"views": x.views, "spoken": x.spoken, "short": short,
		}).ParseFS(files, "pages/layout.html", "pages/parts.html"))
		all[x.lang] = map[string]*template.Template{}
		for _, name := range []string{"home.html", "watch.html", "history.html", "clear.html", "upload.html", "error.html"} {
			all[x.lang][name] = template.Must(template.Must(common.Clone()).ParseFS(files, path.Join("pages", name)))
		}
	}
	return all
}

// layout is what every page tells its frame. Lang and Here, the page's own address, render fills in.
type layout struct {
	Section    string   // of the navigation
	Query      string   // in the search field
	Missing    []string // parts that did not come
	Lang, Here string
}

func (l *layout) frame() *layout { return l }

// render answers with a whole page, or, if the template fails, not at all.
func (h *handler) render(c echo.Context, status int, name string, data interface{ frame() *layout }) error {
	frame := data.frame()
	frame.Lang, frame.Here = h.textsFor(c.Request()).lang, "/"
	if c.Request().Method == echo.GET {
		frame.Here = local(c.Request().URL.RequestURI())
	}
	var page bytes.Buffer
	if err := h.views[frame.Lang][name].ExecuteTemplate(&page, "layout", data); err != nil {
		return fmt.Errorf("render %s: %w", name, err)
	}
	header := c.Response().Header()
	header.Set("Cache-Control", "no-store") // a page belongs to one viewer and one moment
	header.Set("Content-Language", frame.Lang)
	header.Set("Content-Length", strconv.Itoa(page.Len()))
	return c.HTMLBlob(status, page.Bytes())
}

// initial is the sign on the card of a video without a picture.
func initial(v video) string {
	for _, r := range v.Name {
		if unicode.IsLetter(r) || unicode.IsNumber(r) {
			return string(unicode.ToUpper(r))
		}
	}
	return "▸"
}

// hue picks one of the twelve colours that the stylesheet has for cards, always the same for one video.
func hue(v video) uint32 {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(v.ID))
	return sum.Sum32() % 12
}

func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func utc(t time.Time) string { return t.UTC().Format("15:04 UTC") }
