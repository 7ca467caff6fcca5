package main

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/web"
	"flixtube/contracts/codes"
	"flixtube/contracts/limits"
	"flixtube/video-upload/internal/spool"
	"flixtube/video-upload/internal/tus"
)

// maxPosters is how many posters are received at a time, of one viewer and of one address. Each takes its bytes of memory.
const (
	maxPosters     = 20
	viewerPosters  = 4
	addressPosters = 10
)

// putPoster keeps the poster of an upload that is not complete. The storage gets it together with the video.
func (s *service) putPoster(c echo.Context) error {
	id, err := s.incomplete(c)
	if err != nil {
		return err
	}
	leave, err := s.posters.Enter(c.Request().Context(), shares(c.Request().Header, viewerPosters, addressPosters)...)
	if err != nil {
		return later(c, web.Errorf(http.StatusServiceUnavailable, codes.TooManyPosters, "too many posters are being received, try again later").Because(err))
	}
	defer leave()
	data, err := web.ReadBody(c.Response(), c.Request(), limits.Poster)
	if err != nil {
		return err
	}
	jpeg, err := s.encoder.Encode(data)
	if err != nil {
		return err
	}
	err = s.spool.SavePoster(id, jpeg)
	if errors.Is(err, spool.ErrNoSpace) {
		return web.Errorf(http.StatusInsufficientStorage, codes.NoSpace, "no space is left for the poster").Because(err)
	}
	if err != nil {
		return err
	}
	if _, err := s.incomplete(c); err != nil {
		return err // the last bytes arrived in the meantime, perhaps before the poster was saved
	}
	return c.NoContent(http.StatusNoContent)
}

// incomplete returns the id of the request's upload while bytes of it are missing.
func (s *service) incomplete(c echo.Context) (id string, err error) {
	up, err := s.resumable.Find(c)
	if err == nil && up.Complete() {
		err = tus.ErrUploaded
	}
	return up.ID, err
}
