// Package site is what viewers see: pages, each composed of parts from several services, the forms on them, the texts in
// each language, and the assets.
package site

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/text/language"

	"flixtube/chassis/web"
	"flixtube/gateway/internal/services"
)

// Config is what a Site needs.
type Config struct {
	Services      services.Clients
	PartTimeout   time.Duration // for each part of a page
	ChangeTimeout time.Duration // for each change
	// ChargeUpload returns an error if the viewer may not upload another file now.
	ChargeUpload func(echo.Context) error
	SetCookie    func(c echo.Context, name, value string)
	SetViewer    func(c echo.Context, id string) // makes the browser that viewer
	Secure       bool                            // a proxy in front ends TLS
	Log          *slog.Logger
}

// Site has a handler for each page and form. Their requests name the viewer in X-Viewer-Id.
type Site struct {
	Config
	assets    assets
	templates templates
	texts     []texts
	languages language.Matcher // in the order of texts
}

// New fails if the files in the binary are broken.
func New(config Config) (*Site, error) {
	static, err := newAssets()
	if err != nil {
		return nil, fmt.Errorf("assets: %w", err)
	}
	all, err := newTexts()
	if err != nil {
		return nil, fmt.Errorf("texts: %w", err)
	}
	pages, err := newTemplates(static, all)
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	var tags []language.Tag
	for _, x := range all {
		tags = append(tags, language.Make(x.lang))
	}
	return &Site{config, static, pages, all, language.NewMatcher(tags)}, nil
}

const (
	pageSize    = 24 // videos, or lines of history, on a page
	suggestions = 8  // videos in a row
)

func viewerOf(c echo.Context) string { return web.Viewer(c.Request().Header) }
