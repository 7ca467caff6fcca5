// Video-streaming serves a video.
package main

import (
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

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
	port, rabbit := os.Getenv("PORT"), os.Getenv("RABBIT")
	if port == "" || rabbit == "" {
		return errors.New("PORT or RABBIT is missing, as in PORT=4001 RABBIT=amqp://guest:guest@localhost:5672")
	}
	box, err := openOutbox("outbox")
	if err != nil {
		return err
	}
	go box.relay(rabbit)
	s := service{box}
	e := echo.New()
	e.HideBanner = true
	e.GET("/", getPage)
	e.GET("/video", s.getVideo)
	return e.Start(":" + port)
}

type service struct{ outbox outbox }

func getPage(c echo.Context) error {
	return c.HTML(http.StatusOK, page)
}

func (s service) getVideo(c echo.Context) error {
	if r := c.Request().Header.Get("Range"); r == "" || strings.HasPrefix(r, "bytes=0-") {
		id := c.QueryParam("view")
		if id == "" {
			id = rand.Text()
		}
		if err := s.outbox.add(viewed{ID: id, ViewedAt: time.Now(), Video: video{ID: "sample"}}); err != nil {
			fmt.Fprintln(os.Stderr, "video-streaming: a view is lost:", err)
		}
	}
	return c.File("videos/sample.mp4")
}
