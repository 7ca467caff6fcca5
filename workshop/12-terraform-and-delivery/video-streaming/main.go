// Video-streaming serves a video.
package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "video-streaming:", err)
		os.Exit(1)
	}
}

func run() error {
	port, rabbit := os.Getenv("PORT"), os.Getenv("RABBIT")
	storage, err := url.Parse(os.Getenv("VIDEO_STORAGE"))
	if port == "" || rabbit == "" || err != nil || storage.Host == "" {
		return errors.New("PORT, RABBIT or VIDEO_STORAGE is missing, " +
			"as in PORT=4001 RABBIT=amqp://guest:guest@localhost:5672 VIDEO_STORAGE=http://localhost:4005")
	}
	box, err := openOutbox("outbox")
	if err != nil {
		return err
	}
	go box.relay(rabbit)
	s := service{box}
	e := echo.New()
	e.HideBanner = true
	e.GET("/video", echo.WrapHandler(&httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(storage) },
		ModifyResponse: s.count,
	}))
	return e.Start(":" + port)
}

type service struct{ outbox outbox }

// count adds a view to the outbox if the response begins with the first byte of the video.
func (s service) count(response *http.Response) error {
	if response.StatusCode != http.StatusOK && !strings.HasPrefix(response.Header.Get("Content-Range"), "bytes 0-") {
		return nil
	}
	query := response.Request.URL.Query()
	id := query.Get("view")
	if id == "" {
		id = rand.Text()
	}
	if err := s.outbox.add(viewed{ID: id, ViewedAt: time.Now(), Video: video{ID: query.Get("id")}}); err != nil {
		fmt.Fprintln(os.Stderr, "video-streaming: a view is lost:", err)
	}
	return nil
}
