// Video-storage keeps the bytes of videos in Azure Blob Storage.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/labstack/echo/v4"
)

const container = "videos"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "video-storage:", err)
		os.Exit(1)
	}
}

func run() error {
	client, err := azblob.NewClientFromConnectionString(os.Getenv("STORAGE"), nil)
	if err != nil {
		return fmt.Errorf("STORAGE is no connection string: %w", err)
	}
	_, err = client.CreateContainer(context.Background(), container, nil)
	if err != nil && !bloberror.HasCode(err, bloberror.ContainerAlreadyExists) {
		return err
	}
	s := storage{client}
	e := echo.New()
	e.HideBanner = true
	e.GET("/video", s.getVideo)
	e.POST("/upload", s.postUpload)
	e.DELETE("/video", s.deleteVideo)
	return e.Start(":" + os.Getenv("PORT"))
}

type storage struct{ client *azblob.Client }

// Ids come from outside, and become names in the storage.
var validID = regexp.MustCompile(`^[a-z0-9-]{1,50}$`)

var errInvalidID = echo.NewHTTPError(http.StatusBadRequest, "an id is 1 to 50 of a-z, 0-9 and -")

func (s storage) postUpload(c echo.Context) error {
	id := c.Request().Header.Get("id")
	if !validID.MatchString(id) {
		return errInvalidID
	}
	if _, err := s.client.UploadStream(c.Request().Context(), container, id, c.Request().Body, nil); err != nil {
		return err
	}
	return c.NoContent(http.StatusCreated)
}

// deleteVideo is idempotent: a video that is not there is deleted.
func (s storage) deleteVideo(c echo.Context) error {
	id := c.QueryParam("id")
	if !validID.MatchString(id) {
		return errInvalidID
	}
	_, err := s.client.DeleteBlob(c.Request().Context(), container, id, nil)
	if err != nil && !bloberror.HasCode(err, bloberror.BlobNotFound) {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func (s storage) getVideo(c echo.Context) error {
	id := c.QueryParam("id")
	if !validID.MatchString(id) {
		return errInvalidID
	}
	blob := s.client.ServiceClient().NewContainerClient(container).NewBlobClient(id)
	properties, err := blob.GetProperties(c.Request().Context(), nil)
	if bloberror.HasCode(err, bloberror.BlobNotFound) {
		return echo.ErrNotFound
	}
	if err != nil {
		return err
	}
	file := &file{ctx: c.Request().Context(), blob: blob, size: *properties.ContentLength}
	defer file.Close()
	c.Response().Header().Set("Content-Type", "video/mp4")
	http.ServeContent(c.Response(), c.Request(), "", time.Time{}, file)
	return nil
}
