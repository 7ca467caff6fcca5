package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func jpegOf(t *testing.T, picture image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, picture, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// picture is red on the left and blue on the right.
func picture(width, height int) *image.Paletted {
	p := image.NewPaletted(image.Rect(0, 0, width, height), color.Palette{color.RGBA{255, 0, 0, 255}, color.RGBA{0, 0, 255, 255}})
	for i := range p.Pix {
		if i%width >= width/2 {
			p.Pix[i] = 1
		}
	}
	return p
}

// progressive is a JPEG that goes over its pixels so many times. Each scan has two bytes of data, which say that nothing
// is to be changed in the 16384 blocks that follow.
func progressive(width, height uint16, scans int) []byte {
	oneCode := "\x01" + strings.Repeat("\x00", 15) // and it is one bit long
	b := []byte("\xff\xd8\xff\xc2\x00\x0b\x08")
	b = binary.BigEndian.AppendUint16(b, height)
	b = binary.BigEndian.AppendUint16(b, width)
	b = append(b, "\x01\x01\x11\x00\xff\xc4\x00\x26\x00"+oneCode+"\x00\x10"+oneCode+"\xe0"...)
	b = append(b, strings.Repeat("\xff\xda\x00\x08\x01\x01\x00\x01\x3f\x10\x00\x00", scans)...)
	return append(b, "\xff\xd9"...)
}

func TestPoster(t *testing.T) {
	withText := jpegOf(t, picture(640, 360))
	withText = append(append(bytes.Clone(withText[:2]), "\xff\xfe\x00\x08secret"...), withText[2:]...) // a comment
	for what, test := range map[string]struct {
		body                []byte
		want, width, height int
	}{
		"with a comment":  {withText, 204, 640, 360},
		"tall":            {jpegOf(t, picture(640, 1280)), 204, 640, 1280},
		"a line":          {jpegOf(t, picture(1280, 1)), 204, 1280, 1},
		"grey":            {jpegOf(t, image.NewGray(image.Rect(0, 0, 1, 1))), 204, 1, 1},
		"progressive":     {progressive(320, 200, 10), 204, 320, 200},
		"too wide":        {jpegOf(t, picture(1281, 1)), 413, 0, 0},
		"too high":        {jpegOf(t, picture(1, 1281)), 413, 0, 0},
		"too many pixels": {jpegOf(t, picture(1280, 721)), 413, 0, 0},
		"a bomb":          {progressive(65535, 65535, 1), 413, 0, 0},
		"no size":         {progressive(0, 0, 1), 400, 0, 0},
		"endless":         {progressive(1280, 720, 80_000), 400, 0, 0},
		"cut off":         {jpegOf(t, picture(320, 200))[:1000], 400, 0, 0},
		"cut off early":   {[]byte("\xff\xd8\xff"), 400, 0, 0},
		"a byte too many": {append(jpegOf(t, picture(10, 10)), make([]byte, maxPoster)...), 413, 0, 0},
		"png":             {[]byte("\x89PNG\r\n\x1a\n"), 415, 0, 0},
		"svg":             {[]byte(`<svg xmlns="http://www.w3.org/2000/svg" onload="x()"/>`), 415, 0, 0},
		"empty":           {nil, 415, 0, 0},
	} {
		t.Run(what, func(t *testing.T) {
			ann, u, _, _ := newTestCaller(t, 1<<20)
			path := ann.create(5000)
			began := time.Now()
			ann.expect(test.want, ann.ask("PUT", path+"/poster", bytes.NewReader(test.body)))
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
			data, err := os.ReadFile(u.path(filepath.Base(path), posterPart))
			if test.want != 204 {
				if !errors.Is(err, os.ErrNotExist) || len(names(t, u)) != 2 {
					t.Errorf("left: %v", names(t, u))
				}
				return
			}
			made, err := jpeg.Decode(bytes.NewReader(data))
			if err != nil || made.Bounds() != image.Rect(0, 0, test.width, test.height) {
				t.Fatalf("%v, %v", made, err)
			}
			if bytes.Contains(data, []byte("secret")) || len(names(t, u)) != 3 {
				t.Errorf("left: %v", names(t, u))
			}
			if what != "tall" {
				return
			}
			left, _, _, _ := made.At(0, 0).RGBA()
			_, _, right, _ := made.At(test.width-1, 0).RGBA()
			if left>>8 < 230 || right>>8 < 230 {
				t.Errorf("red %d on the left, blue %d on the right", left>>8, right>>8)
			}
		})
	}
}

// TestPostersAreBounded: what waits for the decoder takes memory, and who sends nothing must not keep a place.
func TestPostersAreBounded(t *testing.T) {
	ann, u, _, _ := newTestCaller(t, 1<<20)
	u.storage.patience = time.Second
	path := ann.create(5000) + "/poster"
	ended := make(chan answered, maxPosters)
	for range maxPosters {
		stalled, end := io.Pipe()
		defer end.Close()
		go func() { ended <- ann.ask("PUT", path, stalled) }()
	}
	eventually(t, "all places are taken", func() bool { return len(u.posters) == maxPosters })
	if res := ann.expect(503, ann.ask("PUT", path, bytes.NewReader(jpegOf(t, picture(10, 10))))); res.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	for range maxPosters {
		ann.expect(http.StatusBadRequest, <-ended)
	}
	ann.expect(204, ann.ask("PUT", path, bytes.NewReader(jpegOf(t, picture(10, 10)))))
}

// TestPosterTooLate: when the last bytes come while a poster waits for the decoder, nobody reads it any more.
func TestPosterTooLate(t *testing.T) {
	ann, u, _, box := newTestCaller(t, 1<<20)
	path := ann.create(5000)
	u.decoder.Lock()
	ended := make(chan answered)
	go func() { ended <- ann.ask("PUT", path+"/poster", bytes.NewReader(jpegOf(t, picture(10, 10)))) }()
	eventually(t, "the poster comes", func() bool { return len(u.posters) == 1 })
	ann.expect(204, ann.patch(path, 0, bytes.NewReader(mp4(5000))))
	u.decoder.Unlock()
	ann.expect(409, <-ended)
	if announced(t, box)[0].Video.Poster {
		t.Error("announced with a poster")
	}
}

// TestPosterReplaced: the last one counts.
func TestPosterReplaced(t *testing.T) {
	ann, u, storage, box := newTestCaller(t, 1<<20)
	path := ann.create(5000)
	ann.expect(204, ann.ask("PUT", path+"/poster", bytes.NewReader(jpegOf(t, picture(10, 10)))))
	ann.expect(204, ann.ask("PUT", path+"/poster", bytes.NewReader(jpegOf(t, picture(20, 20)))))
	ann.expect(415, ann.ask("PUT", path+"/poster", strings.NewReader("x")))
	ann.expect(204, ann.patch(path, 0, bytes.NewReader(mp4(5000))))
	config, err := jpeg.DecodeConfig(bytes.NewReader(storage.posters[filepath.Base(path)]))
	if err != nil || config.Width != 20 || !announced(t, box)[0].Video.Poster || len(names(t, u)) != 2 {
		t.Errorf("%+v, %v, left: %v", config, err, names(t, u))
	}
}

// TestPosterSize: whatever the picture, the storage takes what is made of it.
func TestPosterSize(t *testing.T) {
	noise := image.NewRGBA(image.Rect(0, 0, 1280, 720))
	for i := range noise.Pix {
		noise.Pix[i] = byte(255 * rand.N(2))
	}
	if made, err := makePoster(jpegOf(t, noise), time.Hour); err != nil || len(made) > maxPoster {
		t.Errorf("%d bytes, %v", len(made), err)
	}
}

func FuzzPoster(f *testing.F) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, picture(20, 20), nil); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(progressive(20, 20, 3))
	f.Fuzz(func(_ *testing.T, data []byte) { _, _ = makePoster(data, posterTime) })
}
