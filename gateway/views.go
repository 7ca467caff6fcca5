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

// views are the pages' templates by file name, each within the layout.
type views map[string]*template.Template

func newViews(static assets) views {
	common := template.Must(template.New("").Funcs(template.FuncMap{
		"asset": static.url, "title": title, "initial": initial, "hue": hue, "utc": utc, "rfc3339": rfc3339,
	}).ParseFS(files, "pages/layout.html", "pages/parts.html"))
	all := views{}
	for _, name := range []string{"home.html", "watch.html", "history.html", "upload.html", "error.html"} {
		all[name] = template.Must(template.Must(common.Clone()).ParseFS(files, path.Join("pages", name)))
	}
	return all
}

// render answers with a whole page, or, if the template fails, not at all.
func (v views) render(c echo.Context, status int, name string, data any) error {
	var page bytes.Buffer
	if err := v[name].ExecuteTemplate(&page, "layout", data); err != nil {
		return fmt.Errorf("render %s: %w", name, err)
	}
	header := c.Response().Header()
	header.Set("Cache-Control", "no-store") // a page belongs to one viewer and one moment
	header.Set("Content-Length", strconv.Itoa(page.Len()))
	return c.HTMLBlob(status, page.Bytes())
}

func title(v video) string {
	if v.Name == "" {
		return "Untitled"
	}
	return v.Name
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

func utc(t time.Time) string     { return t.UTC().Format("2 January 2006, 15:04 UTC") }
func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339) }
