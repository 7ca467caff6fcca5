package main

import (
	_ "embed"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/health"
	"flixtube/chassis/messaging"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
	"flixtube/contracts/limits"
)

//go:embed openapi.json
var openAPI []byte

func newHandler(s *store, log *slog.Logger, checks ...health.Check) http.Handler {
	h := handler{s, log}
	e := web.NewEcho(log, checks...)
	e.POST("/viewed", h.postViewed)
	e.GET("/history", h.getHistory)
	e.DELETE("/history", h.clearHistory)
	e.DELETE("/viewed", h.deleteViewed)
	e.PUT("/position", h.putPosition)
	e.GET("/position", h.getPosition)
	e.GET("/positions", h.getPositions)
	e.GET("/openapi.json", web.OpenAPI(e, openAPI))
	e.GET("/metrics", web.Metrics())
	return e
}

type handler struct {
	store *store
	log   *slog.Logger
}

const maxPosition = 1 << 10 // bytes of a position's JSON

// failure turns an error of the store, or of a check, into an answer.
func failure(err error) error {
	var invalid limits.InvalidID
	switch {
	case errors.As(err, &invalid):
		return web.Errorf(http.StatusBadRequest, codes.InvalidID, "%s", invalid).With("name", invalid.Name).With("max", limits.ID)
	case errors.Is(err, errNoView):
		return web.Errorf(http.StatusNotFound, codes.ViewNotFound, "%s", errNoView)
	case errors.Is(err, errNoPosition):
		return web.Errorf(http.StatusNotFound, codes.PositionNotFound, "%s", errNoPosition)
	}
	return err
}

// postViewed answers 204 once the view is stored. For the sender, this answer is the confirmation that a publisher gets
// from the broker.
func (h handler) postViewed(c echo.Context) error {
	body, err := web.ReadBody(c.Response(), c.Request(), messaging.MaxBody)
	if err != nil {
		return err
	}
	v, err := decodeViewed(messaging.Message{Body: body})
	if errors.As(err, new(limits.InvalidID)) {
		return failure(err)
	}
	if err != nil {
		return web.Errorf(http.StatusBadRequest, codes.InvalidMessage,
			`the body must be a viewed message: {"id","viewedAt","viewer":{"id"},"video":{"id"}}`).Because(err)
	}
	if err := h.store.record(c.Request().Context(), []view{v}); err != nil {
		return web.Errorf(http.StatusServiceUnavailable, codes.ViewNotStored, "the view is not stored, send it again").Because(err)
	}
	h.log.DebugContext(c.Request().Context(), "fact handled", "id", v.ID, "delivery", "direct", "delay_ms", time.Since(v.ViewedAt).Milliseconds())
	return c.NoContent(http.StatusNoContent)
}

func (h handler) getHistory(c echo.Context) error {
	skip, limit, err := web.Page(c.QueryParams(), 100)
	if err != nil {
		return err
	}
	header := c.Request().Header
	viewer := web.Viewer(header)
	if viewer == "" && header.Get(web.ViewerHeader) != "" { // do not answer with everyone's history
		return web.Errorf(http.StatusBadRequest, codes.InvalidViewer,
			"%s must be 1 to 64 letters, digits, '-' and '_'", web.ViewerHeader).With("name", web.ViewerHeader)
	}
	list := h.store.list
	if viewer != "" && byDay(c) {
		list = h.store.listByDay
	}
	views, err := list(c.Request().Context(), viewer, skip, limit)
	if err != nil {
		return failure(err)
	}
	return c.JSON(http.StatusOK, map[string]any{"history": views})
}

// byDay reports whether a request is about lines of the history, each a video on a day, and not about single views.
func byDay(c echo.Context) bool { return c.QueryParam("by") == "day" }

func (h handler) clearHistory(c echo.Context) error {
	viewer, err := web.RequireViewer(c.Request().Header)
	if err != nil {
		return err
	}
	if err := h.store.clear(c.Request().Context(), viewer, time.Now().UTC()); err != nil {
		return failure(err)
	}
	return c.NoContent(http.StatusNoContent)
}

func (h handler) deleteViewed(c echo.Context) error {
	viewer, err := web.RequireViewer(c.Request().Header)
	if err != nil {
		return err
	}
	id := c.QueryParam("id")
	if err := limits.CheckID("id", id); err != nil {
		return failure(err)
	}
	if err := h.store.hide(c.Request().Context(), viewer, id, byDay(c)); err != nil {
		return failure(err)
	}
	return c.NoContent(http.StatusNoContent)
}

func (h handler) putPosition(c echo.Context) error {
	viewer, err := web.RequireViewer(c.Request().Header)
	if err != nil {
		return err
	}
	video := c.QueryParam("video")
	if err := limits.CheckID("video", video); err != nil {
		return failure(err)
	}
	body, err := web.ReadBody(c.Response(), c.Request(), maxPosition)
	if err != nil {
		return err
	}
	var at struct{ Position, Duration float64 }
	if err := json.Unmarshal(body, &at); err != nil {
		return web.Errorf(http.StatusBadRequest, codes.InvalidBody, `the body must be JSON: {"position":…,"duration":…}`).Because(err)
	}
	if at.Duration <= 0 || at.Duration > limits.Duration {
		return web.Errorf(http.StatusBadRequest, codes.InvalidDuration,
			"duration must be more than 0 and at most %.0f seconds", limits.Duration).With("max", limits.Duration)
	}
	if at.Position < 0 || at.Position > at.Duration+1 {
		return web.Errorf(http.StatusBadRequest, codes.InvalidPosition, "position must be within the duration, both in seconds")
	}
	err = h.store.savePosition(c.Request().Context(), position{
		VideoID: video, Viewer: viewer, Position: at.Position, Duration: at.Duration, SavedAt: time.Now().UTC(),
	})
	if err != nil {
		return failure(err)
	}
	return c.NoContent(http.StatusNoContent)
}

func (h handler) getPosition(c echo.Context) error {
	viewer, err := web.RequireViewer(c.Request().Header)
	if err != nil {
		return err
	}
	video := c.QueryParam("video")
	if err := limits.CheckID("video", video); err != nil {
		return failure(err)
	}
	p, err := h.store.position(c.Request().Context(), viewer, video)
	if err != nil {
		return failure(err)
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
		return failure(err)
	}
	return c.JSON(http.StatusOK, map[string]any{"positions": positions})
}
