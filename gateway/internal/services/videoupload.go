package services

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"flixtube/chassis/httpclient"
	"flixtube/chassis/web"
)

// VideoUpload accepts new videos.
type VideoUpload struct{ client }

// NewVideoUpload returns the client of the service at base.
func NewVideoUpload(http *http.Client, base *url.URL) VideoUpload {
	return VideoUpload{client{http, base}}
}

// Upload streams a file of a client at this network address. The viewer becomes its owner.
func (u VideoUpload) Upload(ctx context.Context, viewer, address, fileName, contentType string, file io.Reader) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.base.JoinPath("upload").String(), io.NopCloser(file))
	if err != nil {
		return err
	}
	req.Header.Set(web.ViewerHeader, viewer)
	req.Header.Set(web.ClientHeader, address)
	req.Header.Set("File-Name", url.PathEscape(fileName))
	req.Header.Set("Content-Type", contentType)
	if err := httpclient.Send(u.http, req); err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	return nil
}
