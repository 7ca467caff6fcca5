package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/web"
	"flixtube/contracts/limits"
	"flixtube/video-upload/internal/poster"
)

// jpegOf is a JPEG of so many pixels.
func jpegOf(t *testing.T, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, width, height)), nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPoster(t *testing.T) {
	for what, test := range map[string]struct {
		body []byte
		want int
	}{
		"a JPEG":          {jpegOf(t, 640, 360), 204},
		"too large":       {jpegOf(t, 1281, 1), 413},
		"incomplete":      {jpegOf(t, 320, 200)[:1000], 400},
		"a byte too many": {append(jpegOf(t, 10, 10), make([]byte, limits.Poster)...), 413},
		"a PNG":           {[]byte("\x89PNG\r\n\x1a\n"), 415},
		"empty":           {nil, 415},
	} {
		t.Run(what, func(t *testing.T) {
			ann, u, _, _ := newTestClient(t, 1<<20)
			path := ann.create(5000)
			ann.expect(test.want, ann.ask("PUT", path+"/poster", bytes.NewReader(test.body)))
			data, err := os.ReadFile(u.path(filepath.Base(path), posterPart))
			if test.want != 204 {
				if !errors.Is(err, os.ErrNotExist) || len(names(t, u)) != 2 {
					t.Errorf("left: %v", names(t, u))
				}
				return
			}
			if config, err := jpeg.DecodeConfig(bytes.NewReader(data)); err != nil || config.Width != 640 || len(names(t, u)) != 3 {
				t.Errorf("%+v, %v, left: %v", config, err, names(t, u))
			}
		})
	}
}

// TestPostersAreBounded: each poster takes memory. A viewer who sends many of them, slowly, does not keep out the others.
func TestPostersAreBounded(t *testing.T) {
	ann, u, _, _ := newTestClient(t, 1<<20)
	ended := make(chan answered, maxPosters)
	var ends []*io.PipeWriter
	stall := func(c client, path string) {
		stalled, end := io.Pipe()
		ends = append(ends, end)
		used := u.posters.Used()
		go func() { ended <- c.ask("PUT", path, stalled) }()
		eventually(t, "the poster has a slot", func() bool { return u.posters.Used() > used })
	}
	poster := func(c client, path string) answered { return c.ask("PUT", path, bytes.NewReader(jpegOf(t, 10, 10))) }
	path := ann.create(5000) + "/poster"
	for range viewerPosters {
		stall(ann, path)
	}
	if res := ann.expect(503, poster(ann, path)); res.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	var bob client
	for i := range maxPosters - viewerPosters {
		if i%viewerPosters == 0 {
			bob = client{t, ann.address, fmt.Sprint("bob", i)}
			path = bob.create(5000) + "/poster"
			bob.expect(204, poster(bob, path))
		}
		stall(bob, path)
	}
	eve := client{t, ann.address, "eve"}
	path = eve.create(5000) + "/poster"
	eve.expect(503, poster(eve, path))
	for _, end := range ends { // none of them is a JPEG
		_, _ = end.Write([]byte("x"))
		_ = end.Close()
		ann.expect(http.StatusUnsupportedMediaType, <-ended)
	}
	eve.expect(204, poster(eve, path))
}

// TestPostersOfAnAddress: other cookies do not help one client to more posters at a time.
func TestPostersOfAnAddress(t *testing.T) {
	c, u, _, _ := newTestClient(t, 1<<20)
	from := func(address string) string { return web.ClientHeader + ": " + address }
	ended := make(chan answered, addressPosters)
	var ends []*io.PipeWriter
	for i := range addressPosters {
		c.viewer = fmt.Sprint("viewer", i)
		path := c.create(5000) + "/poster"
		stalled, end := io.Pipe()
		ends = append(ends, end)
		go func(c client) { ended <- c.ask("PUT", path, stalled, from("192.0.2.1")) }(c)
		eventually(t, "the poster has a slot", func() bool { return u.posters.Used() == i+1 })
	}
	c.viewer = "another"
	path := c.create(5000) + "/poster"
	c.expect(503, c.ask("PUT", path, bytes.NewReader(jpegOf(t, 10, 10)), from("192.0.2.1")))
	c.expect(204, c.ask("PUT", path, bytes.NewReader(jpegOf(t, 10, 10)), from("192.0.2.2")))
	for _, end := range ends {
		end.Close()
		c.expect(http.StatusUnsupportedMediaType, <-ended)
	}
}

// TestPosterTooLate: when the last bytes of the video arrive before the end of its poster, nothing reads the poster.
func TestPosterTooLate(t *testing.T) {
	ann, u, _, box := newTestClient(t, 1<<20)
	path := ann.create(5000)
	body, sender := io.Pipe()
	defer sender.Close()
	ended := make(chan answered)
	go func() { ended <- ann.ask("PUT", path+"/poster", body) }()
	eventually(t, "the poster comes", func() bool { return u.posters.Used() == 1 })
	ann.expect(204, ann.patch(path, 0, bytes.NewReader(mp4(5000))))
	if _, err := sender.Write(jpegOf(t, 10, 10)); err != nil {
		t.Fatal(err)
	}
	sender.Close()
	ann.expect(409, <-ended)
	if announced(t, box)[0].Video.Poster {
		t.Error("announced with a poster")
	}
}

// TestPosterReplaced: the storage gets the last one.
func TestPosterReplaced(t *testing.T) {
	ann, u, storage, box := newTestClient(t, 1<<20)
	path := ann.create(5000)
	ann.expect(204, ann.ask("PUT", path+"/poster", bytes.NewReader(jpegOf(t, 10, 10))))
	ann.expect(204, ann.ask("PUT", path+"/poster", bytes.NewReader(jpegOf(t, 20, 20))))
	ann.expect(415, ann.ask("PUT", path+"/poster", strings.NewReader("x")))
	ann.expect(204, ann.patch(path, 0, bytes.NewReader(mp4(5000))))
	config, err := jpeg.DecodeConfig(bytes.NewReader(storage.posters[filepath.Base(path)]))
	if err != nil || config.Width != 20 || !announced(t, box)[0].Video.Poster || len(names(t, u)) != 2 {
		t.Errorf("%+v, %v, left: %v", config, err, names(t, u))
	}
}

// TestPosterByFFmpeg: a video that comes without a poster gets one after it is announced, and is announced again. One that
// ffmpeg cannot decode does not keep others from theirs.
func TestPosterByFFmpeg(t *testing.T) {
	path := chassistest.Program(t, "ffmpeg")
	file, err := os.ReadFile("../flixtube/samples/Two waves meet.mp4")
	if err != nil {
		t.Fatal(err)
	}
	indexLast := filepath.Join(t.TempDir(), "b.mp4")
	if out, err := exec.Command(path, "-loglevel", "error", "-i", "../flixtube/samples/Two waves meet.mp4", "-c", "copy", indexLast).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v %s", err, out)
	}
	another, err := os.ReadFile(indexLast)
	if err != nil {
		t.Fatal(err)
	}
	ann, u, storage, box := newTestClient(t, 1<<20)
	u.publisher.MakePosters(poster.FFmpeg{Path: path, Encoder: &u.encoder})
	ann.expect(201, ann.ask("POST", "/upload", bytes.NewReader(mp4(5000)), "File-Name: broken.mp4"))
	ann.expect(201, ann.ask("POST", "/upload", bytes.NewReader(file), "File-Name: a.mp4"))
	ann.expect(204, ann.patch(ann.create(len(another), "filename", "b.mp4"), 0, bytes.NewReader(another)))
	ann.expect(201, ann.ask("POST", "/upload", bytes.NewReader(file), "File-Name: short.mp4", "Video-Duration: 1000")) // it is not that long
	first := announced(t, box)
	if len(first) != 4 || len(storage.posters) != 0 {
		t.Fatalf("announced %d times, %d posters", len(first), len(storage.posters))
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- u.publisher.RunPosters(ctx) }()
	for i, before := range first[1:3] {
		eventually(t, "the video is announced again", func() bool { return len(box.added()) > 4+i })
		again := announced(t, box)[4+i]
		want := before.Video
		want.Poster = true
		if before.Video.Poster || again.Video != want || again.Owner != before.Owner || again.UploadedAt != before.UploadedAt || again.ID == before.ID {
			t.Errorf("announced as %+v, and then as %+v", before, again)
		}
		res, err := http.Get(storage.URL + "/poster?id=" + want.ID)
		if err != nil {
			t.Fatal(err)
		}
		config, err := jpeg.DecodeConfig(res.Body)
		res.Body.Close()
		if err != nil || config.Width != 640 || config.Height != 360 {
			t.Errorf("the poster is answered %d: %+v, %v", res.StatusCode, config, err)
		}
	}
	stop()
	if err := <-ended; err != nil || len(box.added()) != 6 {
		t.Errorf("%v, announced %d times", err, len(box.added()))
	}
}
