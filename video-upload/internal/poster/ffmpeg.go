package poster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"flixtube/contracts/limits"
)

const (
	ffmpegTimeout = 10 * time.Second
	maxVideo      = 4096 * 2304 // pixels of a picture in the video, which bounds the memory

	// scale is what the upload page does in a browser.
	scale = "scale=w='min(640,iw)':h='min(1280,ih)':force_original_aspect_ratio=decrease"
)

var errNoPicture = errors.New("ffmpeg has made no picture")

// demuxers are those of ffmpeg by the type of a video. Without a choice of its own ffmpeg would also accept a playlist,
// which can name other addresses.
var demuxers = map[string]string{
	"video/mp4": "mov", "video/quicktime": "mov", "video/webm": "matroska", "video/x-matroska": "matroska", "video/ogg": "ogg",
}

// FFmpeg makes posters with the program of that name. Both fields are required.
type FFmpeg struct {
	Path    string
	Encoder *Encoder
}

// Make returns a JPEG of the picture that a video shows at a time, in seconds. ffmpeg reads what it needs of the video from
// its http address, and has ten seconds for all of it.
func (f FFmpeg) Make(ctx context.Context, address, contentType string, at float64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, ffmpegTimeout)
	defer cancel()
	args := []string{
		"-nostdin", "-hide_banner", "-loglevel", "error", "-threads", "1", "-max_pixels", strconv.Itoa(maxVideo),
		"-protocol_whitelist", "http,tcp", "-f", demuxers[contentType], "-ss", strconv.FormatFloat(at, 'f', 3, 64), "-i", address,
		"-an", "-sn", "-dn", "-frames:v", "1", "-vf", scale, "-threads", "1", "-c:v", "mjpeg", "-q:v", "3", "-f", "image2pipe", "pipe:1",
	}
	cmd := exec.CommandContext(ctx, f.Path, args...)
	cmd.Env = []string{} // no proxies, and no secrets
	cmd.WaitDelay = time.Second
	var problem strings.Builder
	cmd.Stderr = &atMost{&problem, 1 << 10}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	picture, err := io.ReadAll(io.LimitReader(output, limits.Poster))
	_ = output.Close() // ends a program that writes more
	if err := errors.Join(err, cmd.Wait(), context.Cause(ctx)); err != nil {
		return nil, fmt.Errorf("%w: %w %s", errNoPicture, err, problem.String())
	}
	if len(picture) == 0 {
		return nil, errNoPicture // as after the end of the video
	}
	return f.Encoder.Encode(picture)
}

// atMost writes so many bytes and drops the rest.
type atMost struct {
	io.Writer
	left int
}

func (a *atMost) Write(p []byte) (int, error) {
	kept := p[:min(a.left, len(p))]
	a.left -= len(kept)
	_, err := a.Writer.Write(kept)
	return len(p), err
}
