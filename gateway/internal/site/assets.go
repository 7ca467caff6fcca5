package site

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

//go:embed assets pages
var files embed.FS

// assets are served under one fingerprint of all of them, so that scripts can import each other by relative names.
type assets struct{ fingerprint string }

func newAssets() (assets, error) {
	entries, err := files.ReadDir("assets")
	if err != nil {
		return assets{}, err
	}
	sum := sha256.New()
	for _, entry := range entries {
		content, err := files.ReadFile("assets/" + entry.Name())
		if err != nil {
			return assets{}, err
		}
		sum.Write([]byte(entry.Name()))
		sum.Write(content)
	}
	return assets{hex.EncodeToString(sum.Sum(nil))[:16]}, nil
}

func (a assets) url(name string) string { return "/assets/" + a.fingerprint + "/" + name }

// Asset serves a file. It serves the current content also under the fingerprint of another version, because the page may
// come from an older or newer gateway; then browsers must not keep it.
func (s *Site) Asset(c echo.Context) error {
	content, err := files.ReadFile("assets/" + c.Param("name"))
	if err != nil {
		return echo.ErrNotFound
	}
	header := c.Response().Header()
	header.Set("ETag", `W/"`+s.assets.fingerprint+`"`)
	header.Set("Cache-Control", "no-cache")
	if c.Param("version") == s.assets.fingerprint {
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(c.Response(), c.Request(), c.Param("name"), time.Time{}, bytes.NewReader(content))
	return nil
}
