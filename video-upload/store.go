package main

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
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

// storage is the service that keeps the bytes.
type storage struct {
	base     *url.URL
	client   *http.Client
	patience time.Duration // with a storage that does nothing, and with callers who send it something
}

var (
	errTaken   = errors.New("the storage has a video with this id")
	errRefused = errors.New("the storage refuses the poster")
)

func newStorage(base *url.URL) *storage {
	transport := httpclient.NewTransport()
	// Each request has a connection of its own: one that is kept may be closed at the other end just when an
	// upload begins, and that cannot be begun again.
	transport.DisableKeepAlives = true
	// Storage may refuse before it has read everything. Asked first (RFC 9110, 10.1.1), it can say why instead
	// of breaking the connection.
	transport.ExpectContinueTimeout = 5 * time.Second
	return &storage{base: base, patience: time.Minute, client: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (s *storage) check() health.Check {
	return health.Service("video-storage", s.client, s.base).Require()
}

// save streams body to the storage, under a new id, and returns how many bytes it had. size is -1 if it is not known. An
// error of body's is returned as it is. Unless save returns nil nothing stays stored, as far as that is in its hands.
func (s *storage) save(ctx context.Context, id, contentType string, body io.Reader, size int64) (int64, error) {
	n, err := s.put(ctx, id, contentType, body, size)
	if err != nil {
		_ = s.discard(ctx, id) // it may have stored the video, whatever has come of its answer
	}
	return n, err
}

// put is save for those who will try again: when the storage does not answer, the video may be stored or not. errTaken
// if it is since before.
func (s *storage) put(ctx context.Context, id, contentType string, body io.Reader, size int64) (int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	counted := &countedBody{body: body, patience: s.patience, timer: time.AfterFunc(s.patience, func() {
		cancel(errors.New("the storage does nothing"))
	})}
	defer counted.timer.Stop()
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
		return 0, *cause // with it the transport broke the request off
	}
	if err != nil {
		return 0, web.Errorf(http.StatusBadGateway, codes.StorageUnavailable, "the storage does not answer").
			Because(errors.Join(err, context.Cause(ctx)))
	}
	switch res.StatusCode {
	case http.StatusOK, http.StatusCreated, http.StatusNoContent:
		if !counted.ended.Load() && counted.read.Load() != size {
			_ = s.discard(ctx, id)
			return 0, web.Errorf(http.StatusBadGateway, codes.StorageUnavailable, "the storage does not take the whole video")
		}
		return counted.read.Load(), nil
	case http.StatusInsufficientStorage, http.StatusServiceUnavailable, http.StatusRequestEntityTooLarge:
		return 0, web.Errorf(res.StatusCode, codes.StorageUnavailable, "the storage refuses the video: %s", http.StatusText(res.StatusCode))
	}
	refused := fmt.Errorf("it answered %s", res.Status)
	if res.StatusCode == http.StatusConflict {
		refused = errTaken
	}
	return 0, web.Errorf(http.StatusBadGateway, codes.StorageUnavailable, "the storage refuses the video").Because(refused)
}

// has tells whether the storage has a video of that size under the id.
func (s *storage) has(ctx context.Context, id string, size int64) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, s.about("video", id), nil)
	if err != nil {
		return false, err
	}
	res, err := s.client.Do(req)
	if err != nil {
		return false, fmt.Errorf("ask the storage for a video: %w", err)
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK && res.ContentLength == size, nil
}

// about is the address of a part of what is stored under the id.
func (s *storage) about(part, id string) string {
	target := s.base.JoinPath(part)
	target.RawQuery = url.Values{"id": {id}}.Encode()
	return target.String()
}

// putPoster gives a video that is stored its poster. errRefused is for good; after another error it may be tried again.
func (s *storage) putPoster(ctx context.Context, id string, jpeg []byte) error {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, s.about("poster", id), bytes.NewReader(jpeg))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "image/jpeg")
	res, err := s.client.Do(req)
	if err != nil {
		return fmt.Errorf("store the poster: %w", err)
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode < http.StatusMultipleChoices:
		return nil
	case res.StatusCode == http.StatusServiceUnavailable:
		return fmt.Errorf("store the poster: %s", res.Status)
	}
	return fmt.Errorf("%w: %s", errRefused, res.Status)
}

// discard deletes a video that nobody will hear of, within five seconds.
func (s *storage) discard(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, s.about("video", id), nil)
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

// countedBody is read by the transport, from another goroutine. Its timer goes off when the storage has not wanted more
// for a while; waiting for the body itself does not count.
type countedBody struct {
	body     io.Reader
	timer    *time.Timer
	patience time.Duration
	read     atomic.Int64
	ended    atomic.Bool
	failed   atomic.Pointer[error]
}

func (c *countedBody) Read(p []byte) (int, error) {
	c.timer.Stop()
	n, err := c.body.Read(p)
	c.timer.Reset(c.patience)
	c.read.Add(int64(n))
	switch {
	case err == io.EOF:
		c.ended.Store(true)
	case err != nil:
		c.failed.CompareAndSwap(nil, &err)
	}
	return n, err
}
