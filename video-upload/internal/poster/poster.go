// Package poster makes pictures from strangers safe to be shown.
package poster

import (
	"bytes"
	"errors"
	"image/jpeg"
	"io"
	"net/http"
	"sync"
	"time"

	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

const (
	maxSide   = 1280 // pixels
	maxPixels = 1280 * 720
	quality   = 80

	// maxScans is how many times a JPEG may go over its pixels. Progressive ones of libjpeg do so ten times. This bounds the
	// work to about that for a baseline JPEG; the timeout is for what it does not foresee, and long enough for a good picture
	// on a busy machine.
	maxScans      = 12
	decodeTimeout = 500 * time.Millisecond
)

// startOfScan begins a scan. In the data of a scan it does not occur, only in a preview, which has some scans itself.
var startOfScan = []byte("\xff\xda")

var errTimeout = errors.New("decoding takes too long")

// Encoder decodes pictures and encodes them again, one at a time, because each takes memory and CPU time.
type Encoder struct{ mu sync.Mutex }

// Encode returns a JPEG with the pixels of the JPEG data and nothing else of it. Its error is the answer to the client.
func (e *Encoder) Encode(data []byte) ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return encode(data, decodeTimeout)
}

func encode(data []byte, timeout time.Duration) ([]byte, error) {
	if !bytes.HasPrefix(data, []byte("\xff\xd8\xff")) {
		return nil, web.Errorf(http.StatusUnsupportedMediaType, codes.PosterNotJPEG, "a poster must be a JPEG")
	}
	invalid := web.Errorf(http.StatusBadRequest, codes.InvalidPoster, "the picture cannot be decoded")
	config, err := jpeg.DecodeConfig(bytes.NewReader(data))
	if err != nil || config.Width < 1 || config.Height < 1 {
		return nil, invalid.Because(err)
	}
	if config.Width > maxSide || config.Height > maxSide || config.Width*config.Height > maxPixels {
		return nil, web.Errorf(http.StatusRequestEntityTooLarge, codes.PosterTooLarge,
			"a poster may have up to %d pixels, and %d on a side", maxPixels, maxSide).With("pixels", maxPixels).With("side", maxSide)
	}
	if bytes.Count(data, startOfScan) > maxScans {
		return nil, invalid
	}
	picture, err := jpeg.Decode(&deadlineReader{bytes.NewReader(data), time.Now().Add(timeout)})
	if err != nil {
		return nil, invalid.Because(err)
	}
	var encoded bytes.Buffer
	if err := jpeg.Encode(&encoded, picture, &jpeg.Options{Quality: quality}); err != nil {
		return nil, err
	}
	return encoded.Bytes(), nil
}

// deadlineReader fails after its deadline. The decoder reads again after each 4 KiB.
type deadlineReader struct {
	io.Reader
	deadline time.Time
}

func (r *deadlineReader) Read(p []byte) (int, error) {
	if time.Now().After(r.deadline) {
		return 0, errTimeout
	}
	return r.Reader.Read(p)
}
