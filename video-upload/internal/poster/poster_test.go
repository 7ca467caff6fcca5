package poster

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/web"
	"flixtube/contracts/limits"
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

// expensive is a progressive JPEG in colour, without subsampling, of no more bytes than are accepted, all of which are work: a
// scan that sets all coefficients of one colour, scans that refine them, and then scans of the others while there may be some.
func expensive(width, height, scans int) []byte {
	oneCode := "\x01" + strings.Repeat("\x00", 15)
	b := []byte("\xff\xd8\xff\xc2\x00\x11\x08")
	b = binary.BigEndian.AppendUint16(b, uint16(height))
	b = binary.BigEndian.AppendUint16(b, uint16(width))
	b = append(b, "\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00"...)
	b = append(b, "\xff\xc4\x00\x26\x10"+oneCode+"\x01\x11"+oneCode+"\xe0"...)
	coefficients := width / 8 * (height / 8) * 63
	b = append(b, "\xff\xda\x00\x08\x01\x01\x00\x01\x3f\x01"+strings.Repeat("\x00", coefficients*2/8)...)
	for i := range scans - 1 {
		colour, refined := byte(1), coefficients/8+2
		if len(b)+refined > limits.Poster-1000 {
			colour, refined = byte(2+i%2), 2
		}
		b = append(b, "\xff\xda\x00\x08\x01"...)
		b = append(b, colour)
		b = append(b, "\x01\x01\x3f\x10"+strings.Repeat("\x00", refined)...)
	}
	return append(b, "\xff\xd9"...)
}

// noise is the most expensive picture of its size as a baseline JPEG.
func noise(width, height int) image.Image {
	p := image.NewRGBA(image.Rect(0, 0, width, height))
	for i := range p.Pix {
		p.Pix[i] = byte(255 * rand.N(2))
	}
	return p
}

// TestExpensive: a JPEG that is made to be expensive costs no more than some times a baseline JPEG of the same size.
func TestExpensive(t *testing.T) {
	const factor = 4
	data := map[string][]byte{
		"baseline":      jpegOf(t, noise(1280, 720)),
		"full scans":    expensive(1280, 720, maxScans),
		"trivial scans": progressive(1280, 720, maxScans),
	}
	best := map[string]time.Duration{}
	for i := range 3 {
		for what, d := range data {
			began := time.Now()
			if _, err := encode(d, time.Minute); err != nil || len(d) > limits.Poster {
				t.Fatalf("%s of %d bytes: %v", what, len(d), err)
			}
			if took := time.Since(began); i == 0 || took < best[what] {
				best[what] = took
			}
		}
	}
	for what, took := range best {
		if took > factor*best["baseline"] {
			t.Errorf("%s: %v, a baseline JPEG %v", what, took, best["baseline"])
		}
	}
}

//go:embed testdata/progressive.jpg
var ofLibjpeg []byte // with its default scans

func TestEncode(t *testing.T) {
	withText := jpegOf(t, picture(640, 360))
	withText = append(append(bytes.Clone(withText[:2]), "\xff\xfe\x00\x08secret"...), withText[2:]...) // a comment
	for what, test := range map[string]struct {
		data                []byte
		want, width, height int
	}{
		"with a comment":  {withText, 0, 640, 360},
		"tall":            {jpegOf(t, picture(640, 1280)), 0, 640, 1280},
		"a line":          {jpegOf(t, picture(1280, 1)), 0, 1280, 1},
		"grey":            {jpegOf(t, image.NewGray(image.Rect(0, 0, 1, 1))), 0, 1, 1},
		"progressive":     {ofLibjpeg, 0, 64, 48},
		"too wide":        {jpegOf(t, picture(1281, 1)), 413, 0, 0},
		"too high":        {jpegOf(t, picture(1, 1281)), 413, 0, 0},
		"too many pixels": {jpegOf(t, picture(1280, 721)), 413, 0, 0},
		"a bomb":          {progressive(65535, 65535, 1), 413, 0, 0},
		"no size":         {progressive(0, 0, 1), 400, 0, 0},
		"many scans":      {progressive(1280, 720, maxScans), 0, 1280, 720},
		"a scan too many": {progressive(1280, 720, maxScans+1), 400, 0, 0},
		"endless":         {progressive(1280, 720, 80_000), 400, 0, 0},
		"incomplete":      {jpegOf(t, picture(320, 200))[:1000], 400, 0, 0},
		"only a mark":     {[]byte("\xff\xd8\xff"), 400, 0, 0},
		"png":             {[]byte("\x89PNG\r\n\x1a\n"), 415, 0, 0},
		"svg":             {[]byte(`<svg xmlns="http://www.w3.org/2000/svg" onload="x()"/>`), 415, 0, 0},
		"empty":           {nil, 415, 0, 0},
	} {
		t.Run(what, func(t *testing.T) {
			made, err := encode(test.data, time.Minute)
			if test.want != 0 {
				var own *web.Error
				if !errors.As(err, &own) || own.Status != test.want || made != nil {
					t.Errorf("%d bytes, %v, want %d", len(made), err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			decoded, err := jpeg.Decode(bytes.NewReader(made))
			if err != nil || decoded.Bounds() != image.Rect(0, 0, test.width, test.height) {
				t.Fatalf("%v, %v", decoded, err)
			}
			if bytes.Contains(made, []byte("secret")) {
				t.Error("the comment is still there")
			}
			if what != "tall" {
				return
			}
			left, _, _, _ := decoded.At(0, 0).RGBA()
			_, _, right, _ := decoded.At(test.width-1, 0).RGBA()
			if left>>8 < 230 || right>>8 < 230 {
				t.Errorf("red %d on the left, blue %d on the right", left>>8, right>>8)
			}
		})
	}
}

// TestSize: an encoded picture is never larger than the storage accepts.
func TestSize(t *testing.T) {
	if made, err := encode(jpegOf(t, noise(1280, 720)), time.Hour); err != nil || len(made) > limits.Poster {
		t.Errorf("%d bytes, %v", len(made), err)
	}
}

// TestTimeout: what takes too long all the same is given up.
func TestTimeout(t *testing.T) {
	if _, err := encode(jpegOf(t, picture(640, 360)), -time.Second); !errors.Is(err, errTimeout) {
		t.Error(err)
	}
}

// FuzzEncode: data is rejected with an answer to the client, or gives a JPEG within the limits.
func FuzzEncode(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		made, err := encode(data, decodeTimeout)
		if err != nil {
			var own *web.Error
			if !errors.As(err, &own) || own.Status >= 500 {
				t.Error(err)
			}
			return
		}
		config, err := jpeg.DecodeConfig(bytes.NewReader(made))
		if err != nil || config.Width > maxSide || config.Height > maxSide || len(made) > limits.Poster {
			t.Errorf("%d bytes, %+v, %v", len(made), config, err)
		}
	})
}
