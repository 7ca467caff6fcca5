package main

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/health"
	"flixtube/chassis/messaging"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

func newHandler(s *store, log *slog.Logger, checks ...health.Check) http.Handler {
	h := handler{s}
	e := web.NewEcho(log, checks...)
	e.POST("/viewed", h.postViewed)
	e.GET("/history", h.getHistory)
	e.DELETE("/history", h.clearHistory)
	e.DELETE("/viewed", h.deleteViewed)
	e.PUT("/position", h.putPosition)
	e.GET("/position", h.getPosition)
	e.GET("/positions", h.getPositions)
	e.GET("/metrics", web.Metrics())
	return e
}

type handler struct{ store *store }

const (
	maxPosition = 1 << 10 // bytes of a position
	maxDuration = 1e7     // seconds, some four months
)

// postViewed answers 204 once the view is stored: to the sender that is what the broker's confirm is to the
// others.
func (h handler) postViewed(c echo.Context) error {
	body, err := web.ReadBody(c.Response(), c.Request(), messaging.MaxBody)
	if err != nil {
		return err
	}
	v, err := decodeViewed(messaging.Message{Body: body})
	if err != nil {
		return web.Errorf(http.StatusBadRequest, codes.InvalidMessage, "that is not a viewed message").Because(err)
	}
	if err := h.store.record(c.Request().Context(), []viewed{v}); err != nil {
		return web.Errorf(http.StatusServiceUnavailable, codes.ViewNotStored, "the view is not stored, send it again").Because(err)
	}
	return c.NoContent(http.StatusNoContent)
}

func (h handler) getHistory(c echo.Context) error {
	skip, limit, err := web.Page(c.QueryParams(), 100)
	if err != nil {
		return err
	}
	header := c.Request().Header
	viewer := web.Viewer(header)
	if viewer == "" && header.Get(web.ViewerHeader) != "" {
		return web.Errorf(http.StatusBadRequest, codes.InvalidViewer, "%s is not a viewer's id", web.ViewerHeader) // and not everyone
	}
	views, err := h.store.list(c.Request().Context(), viewer, skip, limit)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"history": views})
}

func (h handler) clearHistory(c echo.Context) error {
	viewer, err := web.RequireViewer(c.Request().Header)
	if err != nil {
		return err
	}
	if err := h.store.clear(c.Request().Context(), viewer, time.Now().UTC()); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func (h handler) deleteViewed(c echo.Context) error {
	viewer, err := web.RequireViewer(c.Request().Header)
	if err != nil {
		return err
	}
	id, err := idParam(c, "id")
	if err != nil {
		return err
	}
	if err := h.store.hide(c.Request().Context(), viewer, id); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func (h handler) putPosition(c echo.Context) error {
	viewer, err := web.RequireViewer(c.Request().Header)
	if err != nil {
		return err
	}
	video, err := idParam(c, "video")
	if err != nil {
		return err
	}
	body, err := web.ReadBody(c.Response(), c.Request(), maxPosition)
	if err != nil {
		return err
	}
	var at struct{ Position, Duration float64 }
	if err := json.Unmarshal(body, &at); err != nil {
		return web.Errorf(http.StatusBadRequest, codes.InvalidBody, `the body must be JSON: {"position":…,"duration":…}`).Because(err)
	}
	if at.Position < 0 || at.Duration <= 0 || at.Duration > maxDuration || at.Position > at.Duration+1 {
		return web.Errorf(http.StatusBadRequest, codes.InvalidPosition, "position must be within the duration, both in seconds")
	}
	err = h.store.savePosition(c.Request().Context(), position{
		VideoID: video, Viewer: viewer, Position: at.Position, Duration: at.Duration, SavedAt: time.Now().UTC(),
	})
	if err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func (h handler) getPosition(c echo.Context) error {
	viewer, err := web.RequireViewer(c.Request().Header)
	if err != nil {
		return err
	}
	video, err := idParam(c, "video")
	if err != nil {
		return err
	}
	p, ok, err := h.store.position(c.Request().Context(), viewer, video)
	if err != nil {
		return err
	}
	if !ok {
		return web.Errorf(http.StatusNotFound, codes.PositionNotFound, "there is no position in this video")
	}
	return c.JSON(http.StatusOK, map[string]any{"position": p})
}

func (h handler) getPositions(c echo.Context) error {
	viewer, err := web.RequireViewer(c.Request().Header)
	if err != nil {
		return err
	}
	skip, limit, err := web.Page(c.QueryParams(), 100)
	if err != nil {
		return err
	}
	positions, err := h.store.listPositions(c.Request().Context(), viewer, skip, limit)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"positions": positions})
}

func idParam(c echo.Context, name string) (string, error) {
	id := c.QueryParam(name)
	if id == "" || len(id) > maxID || !utf8.ValidString(id) {
		return "", web.Errorf(http.StatusBadRequest, codes.InvalidID, "%s must be an id", name)
	}
	return id, nil
}
