// Package storage is the client of video-storage, for the service that fills it.
package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"flixtube/chassis/health"
	"flixtube/chassis/httpclient"
)

// Client sends videos and posters to video-storage.
type Client struct {
	base    *url.URL
	client  *http.Client
	timeout time.Duration
}

var (
	// ErrExists is returned when the storage has a video with the id already.
	ErrExists = errors.New("the storage has a video with this id")
	// ErrPosterRejected is returned when another try to store the poster would fail as well.
	ErrPosterRejected = errors.New("the storage rejects the poster")

	errStalled    = errors.New("the storage has stopped reading")
	errIncomplete = errors.New("the storage has not read the whole video")
)

// deleteTimeout bounds a delete, which is the end of an upload that failed.
const deleteTimeout = 5 * time.Second

// New returns a client of the video-storage at base. timeout is how long the storage may read nothing of a video, and how
// long other requests may take.
func New(base *url.URL, timeout time.Duration) *Client {
	transport := httpclient.NewTransport()
	// Each request has a new connection. The storage may close an idle one just as an upload begins, and the body of an
	// upload cannot be sent twice.
	transport.DisableKeepAlives = true
	// The storage may reject a video before it has read it. With Expect: 100-continue (RFC 9110, 10.1.1) it can answer
	// first, instead of breaking the connection. An upload may wait in its queue for ten seconds.
	transport.ExpectContinueTimeout = 20 * time.Second
	client := httpclient.New(transport)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{base, client, timeout}
}

// Check probes the storage for /readyz.
func (c *Client) Check() health.Check {
	return health.Service("video-storage", c.client, c.base).Require()
}

// Put streams a video to the storage, under a new id, and returns its size in bytes. size is -1 if that is not known
// before. After an error the video may be stored all the same: the caller deletes it or tries again. The error wraps an
// error of body, ErrExists, or, for another status than success, an *httpclient.StatusError.
func (c *Client) Put(ctx context.Context, id, contentType string, body io.Reader, size int64) (int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	progress := &progressReader{body: body, timeout: c.timeout, stalled: time.AfterFunc(c.timeout, func() { cancel(errStalled) })}
	defer progress.stalled.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base.JoinPath("upload").String(), progress)
	if err != nil {
		return 0, err
	}
	req.ContentLength = size
	req.Header.Set("Id", id)
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Expect", "100-continue")
	res, err := c.client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("store video %s: %w", id, errors.Join(err, context.Cause(ctx)))
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK, http.StatusCreated, http.StatusNoContent:
	case http.StatusConflict:
		return 0, ErrExists
	default:
		return 0, fmt.Errorf("store video %s: %w", id, httpclient.NewStatusError(res))
	}
	if !progress.ended.Load() && progress.read.Load() != size {
		return 0, fmt.Errorf("store video %s: %w", id, errors.Join(errIncomplete, c.Delete(ctx, id)))
	}
	return progress.read.Load(), nil
}

// Has reports whether the storage has a video of that size, in bytes, under the id.
func (c *Client) Has(ctx context.Context, id string, size int64) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, c.target("video", id), nil)
	if err != nil {
		return false, err
	}
	res, err := c.client.Do(req)
	if err != nil {
		return false, fmt.Errorf("look for video %s in the storage: %w", id, err)
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK && res.ContentLength == size, nil
}

// PutPoster stores the poster of a stored video. After ErrPosterRejected it must not be tried again.
func (c *Client) PutPoster(ctx context.Context, id string, jpeg []byte) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, c.target("poster", id), bytes.NewReader(jpeg))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "image/jpeg")
	res, err := c.client.Do(req)
	if err != nil {
		return fmt.Errorf("store the poster of %s: %w", id, err)
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode < http.StatusMultipleChoices:
		return nil
	case res.StatusCode == http.StatusServiceUnavailable:
		return fmt.Errorf("store the poster of %s: %w", id, httpclient.NewStatusError(res))
	}
	return fmt.Errorf("%w: %w", ErrPosterRejected, httpclient.NewStatusError(res))
}

// Delete deletes a video that is not announced, within five seconds, even if ctx is done.
func (c *Client) Delete(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, c.target("video", id), nil)
	if err != nil {
		return err
	}
	res, err := c.client.Do(req)
	if err != nil {
		return fmt.Errorf("delete video %s from the storage: %w", id, err)
	}
	res.Body.Close()
	if res.StatusCode >= http.StatusBadRequest && res.StatusCode != http.StatusNotFound {
		return fmt.Errorf("delete video %s from the storage: %w", id, httpclient.NewStatusError(res))
	}
	return nil
}

// Address is the http address of a stored video.
func (c *Client) Address(id string) string { return c.target("video", id) }

// target is the address of the video or the poster of an id.
func (c *Client) target(part, id string) string {
	target := c.base.JoinPath(part)
	target.RawQuery = url.Values{"id": {id}}.Encode()
	return target.String()
}

// progressReader is the body of an upload, which the transport reads in another goroutine. The timer fires when the
// storage has read nothing for a while. The time that body itself takes does not count.
type progressReader struct {
	body    io.Reader
	stalled *time.Timer
	timeout time.Duration
	read    atomic.Int64 // bytes
	ended   atomic.Bool
}

func (p *progressReader) Read(b []byte) (int, error) {
	p.stalled.Stop()
	n, err := p.body.Read(b)
	p.stalled.Reset(p.timeout)
	p.read.Add(int64(n))
	if err == io.EOF {
		p.ended.Store(true)
	}
	return n, err
}
