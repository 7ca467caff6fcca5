package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"flixtube/chassis"
)

// storage is the service that keeps the bytes.
type storage struct {
	base   *url.URL
	client *http.Client
}

func newStorage(base *url.URL) *storage {
	transport := chassis.NewTransport()
	// Each request has a connection of its own: one that is kept may be closed at the other end just when an
	// upload begins, and that cannot be begun again.
	transport.DisableKeepAlives = true
	// Storage may refuse before it has read everything. Asked first (RFC 9110, 10.1.1), it can say why instead
	// of breaking the connection.
	transport.ExpectContinueTimeout = 5 * time.Second
	transport.ResponseHeaderTimeout = time.Minute // counted from the end of the body
	return &storage{base: base, client: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (s *storage) check() chassis.Check {
	return chassis.Check{Name: "video-storage", Required: true, Probe: chassis.HTTPCheck(s.client, s.base.String())}
}

// save streams body to the storage and returns how many bytes it had. size is -1 if it is not known. Unless it
// returns nil nothing stays stored, as far as that is in its hands.
func (s *storage) save(ctx context.Context, id, contentType string, body io.Reader, size int64) (int64, error) {
	counted := &countedBody{body: body}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base.JoinPath("upload").String(), counted)
	if err != nil {
		return 0, err
	}
	req.ContentLength = size
	req.Header.Set("Id", id)
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Expect", "100-continue")
	res, err := s.client.Do(req)
	if err == nil {
		defer res.Body.Close()
	}
	if cause := counted.failed.Load(); cause != nil {
		return 0, callersFault{*cause} // with it the transport broke the request off
	}
	if err != nil {
		_ = s.discard(ctx, id) // it may have stored the video, and only its answer is lost
		return 0, chassis.Errorf(http.StatusBadGateway, "the storage does not answer").Because(err)
	}
	switch res.StatusCode {
	case http.StatusOK, http.StatusCreated, http.StatusNoContent:
		if !counted.ended.Load() && counted.read.Load() != size {
			_ = s.discard(ctx, id)
			return 0, chassis.Errorf(http.StatusBadGateway, "the storage does not take the whole video")
		}
		return counted.read.Load(), nil
	case http.StatusInsufficientStorage, http.StatusServiceUnavailable, http.StatusRequestEntityTooLarge:
		return 0, chassis.Errorf(res.StatusCode, "the storage refuses the video: %s", http.StatusText(res.StatusCode))
	}
	return 0, chassis.Errorf(http.StatusBadGateway, "the storage refuses the video").
		Because(fmt.Errorf("it answered %s", res.Status))
}

// discard deletes a video that nobody will hear of, within five seconds.
func (s *storage) discard(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	target := s.base.JoinPath("video")
	target.RawQuery = url.Values{"id": {id}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, target.String(), nil)
	if err != nil {
		return err
	}
	res, err := s.client.Do(req)
	if err != nil {
		return err
	}
	res.Body.Close()
	if res.StatusCode >= http.StatusBadRequest && res.StatusCode != http.StatusNotFound {
		return errors.New(res.Status)
	}
	return nil
}

// callersFault is what went wrong with reading the body that the caller sends.
type callersFault struct{ error }

func (f callersFault) Unwrap() error { return f.error }

// countedBody is read by the transport, from another goroutine.
type countedBody struct {
	body   io.Reader
	read   atomic.Int64
	ended  atomic.Bool
	failed atomic.Pointer[error]
}

func (c *countedBody) Read(p []byte) (int, error) {
	n, err := c.body.Read(p)
	c.read.Add(int64(n))
	switch {
	case err == io.EOF:
		c.ended.Store(true)
	case err != nil:
		c.failed.CompareAndSwap(nil, &err)
	}
	return n, err
}
