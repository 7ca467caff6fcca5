package main

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

// assets are served under one fingerprint of them all, so that scripts can import each other by plain
// relative names.
type assets struct{ fingerprint string }

func newAssets() assets {
	entries, err := files.ReadDir("assets")
	if err != nil {
		panic(err) // the files are part of the binary
	}
	sum := sha256.New()
	for _, entry := range entries {
		content, _ := files.ReadFile("assets/" + entry.Name())
		sum.Write([]byte(entry.Name()))
		sum.Write(content)
	}
	return assets{hex.EncodeToString(sum.Sum(nil))[:16]}
}

func (a assets) url(name string) string { return "/assets/" + a.fingerprint + "/" + name }

// serve answers for another version's fingerprint too, with what there is now, but not for good: a page may
// have come from a gateway that is one version older.
func (a assets) serve(c echo.Context) error {
	content, err := files.ReadFile("assets/" + c.Param("name"))
	if err != nil {
		return echo.ErrNotFound
	}
	header := c.Response().Header()
	header.Set("ETag", `W/"`+a.fingerprint+`"`)
	header.Set("Cache-Control", "no-cache")
	if c.Param("version") == a.fingerprint {
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(c.Response(), c.Request(), c.Param("name"), time.Time{}, bytes.NewReader(content))
	return nil
}
