package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"flixtube/chassis/backoff"
	"flixtube/chassis/httpclient"
)

// samples are videos and their posters, made by scripts/make-samples.
//
//go:embed samples/*.mp4 samples/*.jpg
var samples embed.FS

// seedSamples uploads the samples if there are no videos, and waits a little for them to be listed.
func (s *system) seedSamples(ctx context.Context) error {
	n, err := s.countVideos(ctx)
	if err != nil || n > 0 {
		return err
	}
	uploaded, err := s.uploadSamples(ctx)
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(15 * time.Second); ; {
		if n, err = s.countVideos(ctx); err == nil && n >= uploaded {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d are listed so far", n, uploaded)
		}
		if backoff.Sleep(ctx, 50*time.Millisecond); ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// uploadSamples uploads them through the gateway, as a browser would.
func (s *system) uploadSamples(ctx context.Context) (int, error) {
	files, err := fs.Glob(samples, "samples/*.mp4")
	if err != nil {
		return 0, err
	}
	s.say("uploading %d sample videos", len(files))
	for _, file := range files {
		video, err := samples.ReadFile(file)
		if err != nil {
			return 0, err
		}
		poster, err := samples.ReadFile(strings.TrimSuffix(file, ".mp4") + ".jpg")
		if err != nil {
			return 0, err
		}
		if _, err := upload(ctx, s.client, s.addresses["gateway"], path.Base(file), video, poster); err != nil {
			return 0, fmt.Errorf("upload %s: %w", file, err)
		}
	}
	return len(files), nil
}

func (s *system) countVideos(ctx context.Context) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.addresses["metadata"]+"/videos", nil)
	if err != nil {
		return 0, err
	}
	var list struct {
		Videos []struct{} `json:"videos"`
	}
	if err := httpclient.GetJSON(s.client, req, &list); err != nil {
		return 0, fmt.Errorf("ask for the list of videos: %w", err)
	}
	return len(list.Videos), nil
}

// upload sends an MP4 file by the tus protocol, with its poster and its length, and returns the video's id.
func upload(ctx context.Context, client *http.Client, gateway, name string, video, poster []byte) (id string, err error) {
	send := func(method, address string, body []byte, headers map[string]string) (http.Header, error) {
		req, err := http.NewRequestWithContext(ctx, method, gateway+address, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Tus-Resumable", "1.0.0")
		for name, value := range headers {
			req.Header.Set(name, value)
		}
		res, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		defer res.Body.Close()
		if res.StatusCode/100 != 2 {
			why, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
			return nil, fmt.Errorf("%s is answered %s: %s", method, res.Status, bytes.TrimSpace(why))
		}
		return res.Header, nil
	}
	encode := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

	created, err := send(http.MethodPost, "/api/uploads", nil, map[string]string{
		"Upload-Length":   strconv.Itoa(len(video)),
		"Upload-Metadata": "filename " + encode(name) + ",duration " + encode(strconv.FormatFloat(seconds(video), 'f', -1, 64)),
	})
	if err != nil {
		return "", err
	}
	address := created.Get("Location")
	viewer, _, _ := strings.Cut(created.Get("Set-Cookie"), ";") // to whom the upload belongs
	_, err = send(http.MethodPut, address+"/poster", poster, map[string]string{"Cookie": viewer, "Content-Type": "image/jpeg"})
	if err != nil {
		return "", err
	}
	_, err = send(http.MethodPatch, address, video, map[string]string{
		"Cookie": viewer, "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0",
	})
	return path.Base(address), err
}

// seconds reads how long an MP4 lasts out of its header (ISO/IEC 14496-12, box mvhd, version 0).
func seconds(mp4 []byte) float64 {
	_, header, _ := bytes.Cut(mp4, []byte("mvhd"))
	return float64(binary.BigEndian.Uint32(header[16:])) / float64(binary.BigEndian.Uint32(header[12:]))
}
