package main

import (
	_ "embed"
	"net/http"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/web"
	"flixtube/gateway/internal/edge"
)

//go:embed openapi.json
var openAPI []byte

var (
	read    = []string{http.MethodGet, http.MethodHead}
	tusByID = []string{http.MethodHead, http.MethodPatch, http.MethodDelete}
)

func noContent(c echo.Context) error { return c.NoContent(http.StatusNoContent) }

// routes are all that the gateway answers, beside /livez and /readyz.
func (g gateway) routes(e *echo.Echo) {
	e.Match(read, "/", g.site.Home, g.viewer)
	e.Match(read, "/video", g.site.Watch, g.viewer)
	e.POST("/video/rename", g.site.Rename, g.viewer, g.cheap)
	e.POST("/video/remove", g.site.Remove, g.viewer, g.cheap)
	e.POST("/video/captions", g.site.AddCaptions, g.viewer, g.cheap)
	e.POST("/video/captions/remove", g.site.RemoveCaptions, g.viewer, g.cheap)
	e.Match(read, "/history", g.site.History, g.viewer)
	e.POST("/history/remove", g.site.RemoveViewing, g.viewer, g.cheap)
	e.Match(read, "/history/clear", g.site.ClearHistoryPage, g.viewer)
	e.POST("/history/clear", g.site.ClearHistory, g.viewer, g.cheap, edge.ForNewViewers(g.site.HistoryIsClear))
	e.POST("/language", g.site.ChooseLanguage)
	e.Match(read, "/upload", g.site.UploadPage, g.viewer)
	e.POST("/upload", g.site.UploadForm, g.viewer, g.expensive, edge.LongBody)
	e.POST("/upload/remove", g.site.RemoveUpload, g.viewer, g.cheap)
	e.POST("/recovery/make", g.site.MakeRecoveryCode, g.viewer, g.expensive)
	e.POST("/recovery/revoke", g.site.RevokeRecoveryCode, g.viewer, g.cheap)
	e.POST("/recovery/use", g.site.UseRecoveryCode, g.viewer, g.expensive)
	e.Match(read, "/assets/:version/:name", g.site.Asset)

	e.Match(read, "/api/video", g.video, edge.OwnPages, g.viewer, g.cheap, edge.RequireID("id"), g.streams)
	e.PATCH("/api/video", g.site.RenameByScript, g.viewer, g.cheap, edge.RequireID("id"))
	e.Match(read, "/api/poster", g.poster, g.viewer, g.cheap, edge.RequireID("id"), g.timeout)
	e.Match(read, "/api/captions", g.captions, edge.OwnPages, g.viewer, g.cheap, edge.RequireID("id"), g.timeout)
	e.POST("/api/position", g.position, g.viewer, g.cheap, edge.RequireID("video"), edge.ForNewViewers(noContent), g.timeout, g.existing)
	e.POST("/api/upload", g.upload, g.viewer, g.expensive, edge.LongBody)
	e.OPTIONS("/api/uploads", g.tus, g.viewer, g.cheap)
	e.POST("/api/uploads", g.tus, g.viewer, g.expensive, edge.LongBody)
	e.Match(tusByID, "/api/uploads/:id", g.tus, g.viewer, g.cheap, edge.LongBody)
	e.PUT("/api/uploads/:id/poster", g.tus, g.viewer, g.cheap)
	e.GET("/openapi.json", web.OpenAPI(e, openAPI))
}
