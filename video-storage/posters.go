package main

import (
	"bytes"
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

// posters is the part of a store that keeps a poster for a video. Delete takes it along.
type posters interface {
	// OpenPoster is Open for the poster of a video; errNoPoster if there is none.
	OpenPoster(ctx context.Context, id string) (*video, error)

	// SavePoster puts jpeg in the place of the poster before, if there is one: all of it or nothing. errNotFound
	// if there is no such video.
	SavePoster(ctx context.Context, id string, jpeg []byte) error
}

const (
	posterType = "image/jpeg"
	maxPoster  = 1 << 20 // bytes
)

func (s service) putPoster(c echo.Context) error {
	id, err := checkID(c.QueryParam("id"))
	if err != nil {
		return err
	}
	jpeg, err := web.ReadBody(c.Response(), c.Request(), maxPoster)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(jpeg, []byte("\xff\xd8\xff")) {
		return web.Errorf(http.StatusUnsupportedMediaType, codes.PosterNotJPEG, "a poster is a JPEG")
	}
	if err := s.videos.SavePoster(c.Request().Context(), id, jpeg); err != nil {
		return failure(err)
	}
	return c.NoContent(http.StatusNoContent)
}
