package main

import (
	"log/slog"
	"testing"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/web"
)

// TestRoutesAreDocumented: the public document has every route, and no others. start compares the answers.
func TestRoutesAreDocumented(t *testing.T) {
	e := web.NewEcho(slog.New(slog.DiscardHandler))
	none := echo.HandlerFunc(func(echo.Context) error { return nil })
	gateway{video: none, poster: none, position: none, upload: none, tus: none}.routes(e)
	chassistest.DocumentedRoutes(t, e, e)
}
