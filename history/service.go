package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"

	"flixtube/chassis"
	"flixtube/chassis/messaging"
)

// viewStore is what the routes need of the store.
type viewStore interface {
	record(ctx context.Context, views []viewed) error
	list(ctx context.Context, viewer string, skip, limit int64) ([]view, error)
}

func newHandler(views viewStore, log *slog.Logger, checks ...chassis.Check) http.Handler {
	h := handler{views}
	e := chassis.NewEcho(log, checks...)
	e.POST("/viewed", h.postViewed)
	e.GET("/history", h.getHistory)
	e.GET("/metrics", chassis.Metrics())
	return e
}

type handler struct{ views viewStore }

// maxMessage bounds a viewed message that comes by HTTP, in bytes.
const maxMessage = 64 << 10

// postViewed answers 204 once the view is stored: to the sender that is what the broker's confirm is to the
// others.
func (h handler) postViewed(c echo.Context) error {
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), c.Request().Body, maxMessage))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return chassis.Errorf(http.StatusRequestEntityTooLarge, "the message is too large")
	}
	if err != nil {
		return chassis.Errorf(http.StatusBadRequest, "the message cannot be read").Because(err)
	}
	v, err := decodeViewed(messaging.Message{Body: body})
	if err != nil {
		return chassis.Errorf(http.StatusBadRequest, "that is not a viewed message").Because(err)
	}
	if err := h.views.record(c.Request().Context(), []viewed{v}); err != nil {
		return chassis.Errorf(http.StatusServiceUnavailable, "the view is not stored, send it again").Because(err)
	}
	return c.NoContent(http.StatusNoContent)
}

func (h handler) getHistory(c echo.Context) error {
	skip, limit, err := chassis.Page(c.QueryParams(), 100)
	if err != nil {
		return err
	}
	header := c.Request().Header
	viewer := chassis.Viewer(header)
	if viewer == "" && header.Get(chassis.ViewerHeader) != "" {
		return chassis.Errorf(http.StatusBadRequest, "%s is not a viewer's id", chassis.ViewerHeader) // and not everyone
	}
	views, err := h.views.list(c.Request().Context(), viewer, skip, limit)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"history": views})
}
