package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func pngOf(t *testing.T, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, picture(width, height)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

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

// A WebP of 1x1, lossless.
const tinyWebP = "UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA=="

func webp(t *testing.T) []byte {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString(tinyWebP)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// bomb is a PNG that says it is so large, and has no pixels.
func bomb(width, height uint32) []byte {
	header := []byte("IHDR")
	header = binary.BigEndian.AppendUint32(header, width)
	header = binary.BigEndian.AppendUint32(header, height)
	header = append(header, 8, 6, 0, 0, 0)
	data := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d"), header...)
	return binary.BigEndian.AppendUint32(data, crc32.ChecksumIEEE(header))
}

func TestPoster(t *testing.T) {
	withText := jpegOf(t, picture(800, 450))
	withText = append(append(bytes.Clone(withText[:2]), "\xff\xfe\x00\x08secret"...), withText[2:]...) // a comment
	for what, test := range map[string]struct {
		body                []byte
		want, width, height int
	}{
		"png":                {pngOf(t, 320, 200), 204, 320, 200},
		"jpeg":               {jpegOf(t, picture(320, 200)), 204, 320, 200},
		"webp":               {webp(t), 204, 1, 1},
		"scaled down":        {withText, 204, 640, 360},
		"tall":               {pngOf(t, 1080, 1920), 204, 640, 1137},
		"very tall":          {pngOf(t, 100, 4096), 204, 31, 1280},
		"a line":             {pngOf(t, 4096, 1), 204, 640, 1},
		"4K":                 {pngOf(t, 3840, 2160), 204, 640, 360},
		"too wide":           {pngOf(t, 4097, 1), 413, 0, 0},
		"too high":           {pngOf(t, 1, 4097), 413, 0, 0},
		"too many pixels":    {pngOf(t, 4096, 2049), 413, 0, 0},
		"a bomb":             {bomb(4_000_000, 4_000_000), 413, 0, 0},
		"a bomb over 2^63":   {bomb(1<<31-1, 1<<31-1), 400, 0, 0},
		"a bomb in bounds":   {bomb(4096, 2048), 400, 0, 0},
		"no size":            {bomb(0, 0), 400, 0, 0},
		"cut off":            {pngOf(t, 320, 200)[:100], 400, 0, 0},
		"cut off early":      {pngOf(t, 320, 200)[:20], 400, 0, 0},
		"jpeg cut off":       {jpegOf(t, picture(320, 200))[:1000], 400, 0, 0},
		"jpeg cut off early": {[]byte("\xff\xd8\xff"), 400, 0, 0},
		"webp cut off":       {webp(t)[:30], 400, 0, 0},
		"a byte too many":    {append(pngOf(t, 10, 10), make([]byte, maxPoster)...), 413, 0, 0},
		"gif":                {[]byte("GIF89a\x01\x00\x01\x00\x00\x00\x00;"), 415, 0, 0},
		"svg":                {[]byte(`<svg xmlns="http://www.w3.org/2000/svg" onload="x()"/>`), 415, 0, 0},
		"a page":             {[]byte("<!doctype html>"), 415, 0, 0},
		"empty":              {nil, 415, 0, 0},
	} {
		t.Run(what, func(t *testing.T) {
			ann, u, _, _ := newTestCaller(t, 1<<20)
			path := ann.create(5000)
			ann.expect(test.want, ann.ask("PUT", path+"/poster", bytes.NewReader(test.body)))
			data, err := os.ReadFile(u.path(filepath.Base(path), posterPart))
			if test.want != 204 {
				if !errors.Is(err, os.ErrNotExist) || len(names(t, u)) != 2 {
					t.Errorf("left: %v", names(t, u))
				}
				return
			}
			made, kind, err := image.Decode(bytes.NewReader(data))
			if err != nil || kind != "jpeg" || made.Bounds() != image.Rect(0, 0, test.width, test.height) {
				t.Fatalf("%s, %v, %v", kind, made.Bounds(), err)
			}
			if bytes.Contains(data, []byte("secret")) || len(names(t, u)) != 3 {
				t.Errorf("left: %v", names(t, u))
			}
			if test.width < 2 {
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

// TestPosterReplaced: the last one counts.
func TestPosterReplaced(t *testing.T) {
	ann, u, storage, box := newTestCaller(t, 1<<20)
	path := ann.create(5000)
	ann.expect(204, ann.ask("PUT", path+"/poster", bytes.NewReader(pngOf(t, 10, 10))))
	ann.expect(204, ann.ask("PUT", path+"/poster", bytes.NewReader(pngOf(t, 20, 20))))
	ann.expect(415, ann.ask("PUT", path+"/poster", strings.NewReader("x")))
	ann.expect(204, ann.patch(path, 0, bytes.NewReader(mp4(5000))))
	config, err := jpeg.DecodeConfig(bytes.NewReader(storage.posters[filepath.Base(path)]))
	if err != nil || config.Width != 20 || !announced(t, box)[0].Video.Poster || len(names(t, u)) != 2 {
		t.Errorf("%+v, %v, left: %v", config, err, names(t, u))
	}
}

// TestPosterSize: whatever the picture, the storage takes what is made of it.
func TestPosterSize(t *testing.T) {
	noise := image.NewRGBA(image.Rect(0, 0, posterWide, posterHigh))
	for i := range noise.Pix {
		noise.Pix[i] = byte(rand.N(256))
	}
	var b bytes.Buffer
	quick := png.Encoder{CompressionLevel: png.NoCompression}
	if err := quick.Encode(&b, noise); err != nil {
		t.Fatal(err)
	}
	if made, err := makePoster(b.Bytes()); err != nil || len(made) > maxPoster {
		t.Errorf("%d bytes, %v", len(made), err)
	}
}

func FuzzPoster(f *testing.F) {
	var j, p bytes.Buffer
	if err := errors.Join(jpeg.Encode(&j, picture(20, 20), nil), png.Encode(&p, picture(20, 20))); err != nil {
		f.Fatal(err)
	}
	w, err := base64.StdEncoding.DecodeString(tinyWebP)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(j.Bytes())
	f.Add(p.Bytes())
	f.Add(w)
	f.Fuzz(func(_ *testing.T, data []byte) { _, _ = makePoster(data) })
}
