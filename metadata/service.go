package main

import (
	_ "embed"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"unicode/utf8"

	"github.com/labstack/echo/v4"
	"go.mongodb.org/mongo-driver/v2/bson"

	"flixtube/chassis/health"
	"flixtube/chassis/text"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
	"flixtube/contracts/limits"
)

//go:embed openapi.json
var openAPI []byte

// newHandler returns the routes; removed is called after each removal.
func newHandler(videos *store, removed func(), log *slog.Logger, checks ...health.Check) http.Handler {
	h := handler{videos, removed}
	e := web.NewEcho(log, checks...)
	e.GET("/videos", h.getVideos)
	e.GET("/videos/own", h.getOwnVideos)
	e.GET("/video", h.getVideo)
	e.PATCH("/video", h.patchVideo)
	e.DELETE("/video", h.deleteVideo)
	e.GET("/captions", h.getCaptions)
	e.PUT("/captions", h.putCaptions)
	e.DELETE("/captions", h.deleteCaptions)
	e.GET("/recovery", h.getRecovery)
	e.POST("/recovery", h.postRecovery)
	e.DELETE("/recovery", h.deleteRecovery)
	e.POST("/recovery/use", h.useRecovery)
	e.GET("/openapi.json", web.OpenAPI(e, openAPI))
	e.GET("/metrics", web.Metrics())
	return e
}

type handler struct {
	videos  *store
	removed func()
}

const maxPatch = 8 << 10 // bytes

// failure turns an error of the store into an answer.
func failure(err error) error {
	switch {
	case errors.Is(err, errNoVideo):
		return web.Errorf(http.StatusNotFound, codes.VideoNotFound, "%s", errNoVideo)
	case errors.Is(err, errNoCaptions):
		return web.Errorf(http.StatusNotFound, codes.CaptionsNotFound, "%s", errNoCaptions)
	case errors.Is(err, errTooManyLanguages):
		return web.Errorf(http.StatusConflict, codes.TooManyLanguages, "%s: %d are allowed", errTooManyLanguages, maxLanguages).With("max", maxLanguages)
	case errors.Is(err, errNotOwner):
		return web.Errorf(http.StatusForbidden, codes.NotOwner, "%s", errNotOwner)
	case errors.Is(err, errNoRecovery):
		return web.Errorf(http.StatusNotFound, codes.RecoveryNotFound, "%s", errNoRecovery)
	case errors.Is(err, errNothingOwned):
		return web.Errorf(http.StatusConflict, codes.NothingOwned, "%s", errNothingOwned)
	}
	return err
}

func (h handler) getVideos(c echo.Context) error {
	if ids, ok := c.QueryParams()["id"]; ok {
		return h.getByID(c, ids)
	}
	skip, limit, err := web.Page(c.QueryParams(), web.MaxPage)
	if err != nil {
		return err
	}
	q := query{search: c.QueryParam("search"), skip: skip, limit: limit}
	switch sort := c.QueryParam("sort"); sort {
	case "":
	case "newest":
		q.newest = true
	default:
		return web.Errorf(http.StatusBadRequest, codes.InvalidSort, "sort must be newest, or left out").With("name", "sort")
	}
	if !utf8.ValidString(q.search) || utf8.RuneCountInString(q.search) > limits.Name {
		return web.Errorf(http.StatusBadRequest, codes.SearchTooLong,
			"search must be at most %d characters of UTF-8", limits.Name).With("max", limits.Name)
	}
	q.search = text.Line(q.search)
	documents, err := h.videos.list(c.Request().Context(), q)
	if err != nil {
		return failure(err)
	}
	return answerVideos(c, documents)
}

// getOwnVideos lists the viewer's own videos, the newest first.
func (h handler) getOwnVideos(c echo.Context) error {
	viewer, err := web.RequireViewer(c.Request().Header)
	if err != nil {
		return err
	}
	skip, limit, err := web.Page(c.QueryParams(), web.MaxPage)
	if err != nil {
		return err
	}
	documents, err := h.videos.list(c.Request().Context(), query{owner: viewer, newest: true, skip: skip, limit: limit})
	if err != nil {
		return err
	}
	return answerVideos(c, documents)
}

func (h handler) getByID(c echo.Context, ids []string) error {
	if len(ids) > limits.IDs {
		return web.Errorf(http.StatusBadRequest, codes.TooManyIDs, "there must be at most %d ids", limits.IDs).With("max", limits.IDs)
	}
	documents, err := h.videos.findAll(c.Request().Context(), ids)
	if err != nil {
		return failure(err)
	}
	return answerVideos(c, documents)
}

func answerVideos(c echo.Context, documents []bson.D) error {
	videos := make([]map[string]any, len(documents))
	for i, d := range documents {
		videos[i] = public(d)
	}
	return c.JSON(http.StatusOK, map[string]any{"videos": videos})
}

func (h handler) getVideo(c echo.Context) error {
	document, err := h.videos.find(c.Request().Context(), c.QueryParam("id"))
	if err != nil {
		return failure(err)
	}
	return c.JSON(http.StatusOK, map[string]any{"video": public(document)})
}

func (h handler) patchVideo(c echo.Context) error {
	viewer, err := web.RequireViewer(c.Request().Header)
	if err != nil {
		return err
	}
	body, err := web.ReadBody(c.Response(), c.Request(), maxPatch)
	if err != nil {
		return err
	}
	var patch struct {
		Name string `json:"name"`
	}
	if !utf8.Valid(body) || json.Unmarshal(body, &patch) != nil {
		return web.Errorf(http.StatusBadRequest, codes.InvalidBody, `the body must be JSON: {"name":"..."}`)
	}
	name := text.Line(patch.Name)
	if name == "" || utf8.RuneCountInString(name) > limits.Name {
		return web.Errorf(http.StatusBadRequest, codes.InvalidName, "name must be 1 to %d characters", limits.Name).With("max", limits.Name)
	}
	document, err := h.videos.rename(c.Request().Context(), c.QueryParam("id"), viewer, name)
	if err != nil {
		return failure(err)
	}
	return c.JSON(http.StatusOK, map[string]any{"video": public(document)})
}

func (h handler) deleteVideo(c echo.Context) error {
	viewer, err := web.RequireViewer(c.Request().Header)
	if err != nil {
		return err
	}
	if err := h.videos.remove(c.Request().Context(), c.QueryParam("id"), viewer); err != nil {
		return failure(err)
	}
	h.removed()
	return c.NoContent(http.StatusNoContent)
}
