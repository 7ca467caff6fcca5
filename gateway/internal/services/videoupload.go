package services

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"flixtube/chassis/httpclient"
	"flixtube/chassis/text"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

// VideoUpload accepts new videos.
type VideoUpload struct{ client }

// NewVideoUpload returns the client of the service at base.
func NewVideoUpload(http *http.Client, base *url.URL) VideoUpload {
	return VideoUpload{client{http, base}}
}

// Upload is an unfinished one.
type Upload struct {
	ID       string `json:"id"`
	FileName string `json:"fileName"`
	Size     int64  `json:"size"`   // bytes
	Offset   int64  `json:"offset"` // how many of them have arrived
}

// Percent is how much has arrived, rounded down.
func (u Upload) Percent() int64 { return 100 * u.Offset / max(1, u.Size) }

// Unfinished returns the viewer's unfinished uploads, the last changed first.
func (u VideoUpload) Unfinished(ctx context.Context, viewer string) ([]Upload, error) {
	var answer struct {
		Uploads []Upload `json:"uploads"`
	}
	err := u.get(ctx, viewer, "uploads", nil, &answer)
	for i := range answer.Uploads {
		answer.Uploads[i].FileName = text.Line(answer.Uploads[i].FileName)
	}
	return answer.Uploads, err
}

// Remove ends an unfinished upload of the viewer, if it is still there. The id must be safe as a part of a path.
func (u VideoUpload) Remove(ctx context.Context, viewer, id string) error {
	req, err := u.newRequest(ctx, viewer, http.MethodDelete, "uploads/"+id, nil, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Tus-Resumable", "1.0.0")
	if err := httpclient.Send(u.http, req); err != nil && !hasCode(err, codes.UploadNotFound) {
		return fmt.Errorf("remove an upload: %w", err)
	}
	return nil
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
