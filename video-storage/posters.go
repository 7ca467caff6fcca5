package main

import (
	"bytes"
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/web"
	"flixtube/contracts/codes"
	"flixtube/contracts/limits"
)

// posterStore keeps a poster for each video that has one. It is deleted with the video.
type posterStore interface {
	// OpenPoster is Open for the poster of a video. It returns errPosterNotFound if there is none.
	OpenPoster(ctx context.Context, id videoID) (*video, error)

	// SavePoster replaces the poster of a video, completely or not at all. It returns errNotFound if there is no such
	// video.
	SavePoster(ctx context.Context, id videoID, jpeg []byte) error
}

const posterType = "image/jpeg"

func (s service) putPoster(c echo.Context) error {
	id, err := parseID(c.QueryParam("id"))
	if err != nil {
		return answer(err)
	}
	jpeg, err := web.ReadBody(c.Response(), c.Request(), limits.Poster)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(jpeg, []byte("\xff\xd8\xff")) {
		return web.Errorf(http.StatusUnsupportedMediaType, codes.PosterNotJPEG, "a poster must be a JPEG")
	}
	if err := s.posters.SavePoster(c.Request().Context(), id, jpeg); err != nil {
		return answer(err)
	}
	return c.NoContent(http.StatusNoContent)
}
