// Package samples has some videos with their posters, made by scripts/make-samples, and uploads them as a browser would.
package samples

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

//go:embed *.mp4 *.jpg
var files embed.FS

// Titles returns the titles of the samples.
func Titles() []string {
	names, _ := fs.Glob(files, "*.mp4") // the pattern is right
	for i, name := range names {
		names[i] = strings.TrimSuffix(name, ".mp4")
	}
	return names
}

// Read returns an MP4 file and its poster, a JPEG.
func Read(title string) (video, poster []byte, err error) {
	if video, err = files.ReadFile(title + ".mp4"); err != nil {
		return nil, nil, err
	}
	poster, err = files.ReadFile(title + ".jpg")
	return video, poster, err
}

// Library is a running FlixTube.
type Library struct {
	Gateway, Metadata string               // addresses
	Say               func(string, ...any) // shows what goes on
}

var client = &http.Client{Timeout: 10 * time.Minute}

// Seed uploads the samples if there are no videos, and waits up to 15 seconds for them to be listed.
func (l Library) Seed(ctx context.Context) error {
	n, err := l.count(ctx)
	if err != nil || n > 0 {
		return err
	}
	titles := Titles()
	l.Say("uploading %d sample videos", len(titles))
	for _, title := range titles {
		if _, err := Upload(ctx, client, l.Gateway, title, title); err != nil {
			return fmt.Errorf("upload %s: %w", title, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	wait := backoff.Backoff{Min: 20 * time.Millisecond, Max: 200 * time.Millisecond}
	for {
		n, err := l.count(ctx)
		if err == nil && n >= len(titles) {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("%d of %d are listed so far", n, len(titles))
		}
		if wait.Wait(ctx, err); ctx.Err() != nil {
			return err
		}
	}
}

// count returns how many videos are listed.
func (l Library) count(ctx context.Context) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.Metadata+"/videos", nil)
	if err != nil {
		return 0, err
	}
	var list struct {
		Videos []struct{} `json:"videos"`
	}
	if err := httpclient.GetJSON(client, req, &list); err != nil {
		return 0, fmt.Errorf("ask for the list of videos: %w", err)
	}
	return len(list.Videos), nil
}

// Upload sends a sample by the tus protocol, with its poster and its length, under a title, and returns the video's id.
// The video belongs to the viewer of the client's cookie, or to a new one.
func Upload(ctx context.Context, client *http.Client, gateway, sample, title string) (id string, err error) {
	video, poster, err := Read(sample)
	if err != nil {
		return "", err
	}
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
		"Upload-Metadata": "filename " + encode(title+".mp4") + ",duration " + encode(strconv.FormatFloat(seconds(video), 'f', -1, 64)),
	})
	if err != nil {
		return "", err
	}
	address := created.Get("Location")
	viewer, _, _ := strings.Cut(created.Get("Set-Cookie"), ";") // the upload belongs to this one
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
