package main

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/web"
)

// unfinishedUpload is one in the list of a viewer.
type unfinishedUpload struct {
	ID        string    `json:"id"`
	FileName  string    `json:"fileName"`
	Size      int64     `json:"size"`   // bytes
	Offset    int64     `json:"offset"` // how many of them have arrived
	ChangedAt time.Time `json:"changedAt"`
}

// getUploads lists the viewer's unfinished uploads, the last changed first. One whose bytes have all arrived waits for the storage.
func (s *service) getUploads(c echo.Context) error {
	viewer, err := web.RequireViewer(c.Request().Header)
	if err != nil {
		return err
	}
	ups, err := s.spool.UnfinishedOf(viewer)
	if err != nil {
		return err
	}
	list := make([]unfinishedUpload, len(ups))
	for i, up := range ups {
		list[i] = unfinishedUpload{up.ID, up.MetaData.FileName, up.Size, up.Offset, up.Modified.UTC()}
	}
	return c.JSON(http.StatusOK, map[string]any{"uploads": list})
}
