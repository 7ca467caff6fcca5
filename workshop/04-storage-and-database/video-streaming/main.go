// Video-streaming serves a video.
package main

import (
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/labstack/echo/v4"
)

//go:embed page.html
var page string

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "video-streaming:", err)
		os.Exit(1)
	}
}

func run() error {
	port := os.Getenv("PORT")
	if port == "" {
		return errors.New("the environment variable PORT is missing, as in PORT=4001")
	}
	e := echo.New()
	e.HideBanner = true
	e.GET("/", getPage)
	e.GET("/video", getVideo)
	return e.Start(":" + port)
}

func getPage(c echo.Context) error {
	return c.HTML(http.StatusOK, page)
}

func getVideo(c echo.Context) error {
	return c.File("videos/sample.mp4")
}
