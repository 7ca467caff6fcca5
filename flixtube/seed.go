package main

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"flixtube/chassis"
)

// samples are made by scripts/make-samples.
//
//go:embed samples/*.mp4
var samples embed.FS

// seedSamples uploads the samples through the gateway, as a browser would, if there are no videos, and waits
// a little for them to be listed.
func (s *system) seedSamples(ctx context.Context) error {
	n, err := s.countVideos(ctx)
	if err != nil || n > 0 {
		return err
	}
	files, err := samples.ReadDir("samples")
	if err != nil {
		return err
	}
	s.say("uploading %d sample videos", len(files))
	for _, file := range files {
		body, err := samples.ReadFile("samples/" + file.Name())
		if err != nil {
			return err
		}
		if err := s.upload(ctx, strings.TrimSuffix(file.Name(), ".mp4"), body); err != nil {
			return fmt.Errorf("upload %s: %w", file.Name(), err)
		}
	}
	for deadline := time.Now().Add(15 * time.Second); ; {
		if n, err = s.countVideos(ctx); err == nil && n >= len(files) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d are listed so far", n, len(files))
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

func (s *system) countVideos(ctx context.Context) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.addresses["metadata"]+"/videos", nil)
	if err != nil {
		return 0, err
	}
	var list struct {
		Videos []struct{} `json:"videos"`
	}
	if err := chassis.GetJSON(s.client, req, &list); err != nil {
		return 0, fmt.Errorf("ask for the list of videos: %w", err)
	}
	return len(list.Videos), nil
}

// upload sends an MP4 file.
func (s *system) upload(ctx context.Context, name string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.addresses["gateway"]+"/api/upload", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("File-Name", url.PathEscape(name))
	req.Header.Set("Content-Type", "video/mp4")
	res, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		why, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
		return fmt.Errorf("the gateway answered %s: %s", res.Status, bytes.TrimSpace(why))
	}
	return nil
}
