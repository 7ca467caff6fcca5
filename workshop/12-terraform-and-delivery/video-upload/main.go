// Video-upload accepts a new video: its bytes go to video-storage, and then its name to metadata.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "video-upload:", err)
		os.Exit(1)
	}
}

func run() error {
	port, storage, metadata := os.Getenv("PORT"), os.Getenv("VIDEO_STORAGE"), os.Getenv("METADATA")
	if port == "" || storage == "" || metadata == "" {
		return errors.New("PORT, VIDEO_STORAGE or METADATA is missing, " +
			"as in PORT=4004 VIDEO_STORAGE=http://localhost:4005 METADATA=http://localhost:4006")
	}
	e := echo.New()
	e.HideBanner = true
	e.POST("/upload", service{storage, metadata}.postUpload)
	return e.Start(":" + port)
}

type service struct{ storage, metadata string }

func (s service) postUpload(c echo.Context) error {
	name, err := url.PathUnescape(c.Request().Header.Get("File-Name"))
	if err != nil || name == "" {
		return echo.NewHTTPError(http.StatusBadRequest, "the header File-Name is missing, or not percent-encoded")
	}
	id := strings.ToLower(rand.Text())
	if err := s.store(c.Request().Context(), id, c.Request().Body); err != nil {
		return failed("store", id, err)
	}
	fmt.Println("stored", id)
	if err := s.register(c.Request().Context(), id, name); err != nil {
		s.remove(id)
		return failed("register", id, err)
	}
	fmt.Println("registered", id)
	return c.JSON(http.StatusCreated, map[string]string{"id": id})
}

func failed(step, id string, err error) error {
	fmt.Fprintln(os.Stderr, "cannot", step, id+":", err)
	return echo.NewHTTPError(http.StatusBadGateway, "the video was not accepted, send it again later")
}

func (s service) store(ctx context.Context, id string, video io.Reader) error {
	return send(ctx, http.MethodPost, s.storage+"/upload", video, "id", id)
}

// remove undoes store.
func (s service) remove(id string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := send(ctx, http.MethodDelete, s.storage+"/video?id="+id, nil, "id", id); err != nil {
		fmt.Fprintln(os.Stderr, "cannot remove", id+":", err)
		return
	}
	fmt.Println("removed", id)
}

func (s service) register(ctx context.Context, id, name string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	body, err := json.Marshal(map[string]string{"_id": id, "name": name})
	if err != nil {
		return err
	}
	return send(ctx, http.MethodPost, s.metadata+"/videos", bytes.NewReader(body), "Content-Type", "application/json")
}

// send returns nil only if the service has done it.
func send(ctx context.Context, method, address string, body io.Reader, header, value string) error {
	request, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return err
	}
	request.Header.Set(header, value)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		return fmt.Errorf("%s: %s", address, response.Status)
	}
	return nil
}
