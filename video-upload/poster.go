package main

import (
	"bytes"
	"errors"
	"image/jpeg"
	"io"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

const (
	maxPoster  = 1 << 20 // bytes, of what comes and of what is made of it
	maxSide    = 1280    // pixels
	maxPixels  = 1280 * 720
	maxPosters = 20              // that come in at a time: each takes its bytes of memory
	posterTime = 2 * time.Second // for decoding one
)

// putPoster takes the poster of a video that is still on its way. It goes to the storage with the video.
func (u *uploads) putPoster(c echo.Context) error {
	id, err := u.unfinished(c)
	if err != nil {
		return err
	}
	select {
	case u.posters <- struct{}{}:
		defer func() { <-u.posters }()
	default:
		c.Response().Header().Set("Retry-After", "10")
		return web.Errorf(http.StatusServiceUnavailable, codes.TooManyPosters, "too many posters come at a time")
	}
	// A caller who is slow must not keep the place for long. (A recorder in tests knows no deadlines.)
	_ = http.NewResponseController(c.Response()).SetReadDeadline(time.Now().Add(u.storage.patience))
	data, err := web.ReadBody(c.Response(), c.Request(), maxPoster)
	if err != nil {
		return err
	}
	u.decoder.Lock()
	made, err := makePoster(data, posterTime)
	u.decoder.Unlock()
	if err != nil {
		return err
	}
	err = u.keep(id, made)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return web.Errorf(http.StatusInsufficientStorage, codes.NoSpace, "no space is left for the poster").Because(err)
	}
	if err != nil {
		return err
	}
	if _, err := u.unfinished(c); err != nil {
		return err // the last bytes have come meanwhile, perhaps too early for the poster
	}
	return c.NoContent(http.StatusNoContent)
}

// unfinished returns the id of the upload that a request names, as long as bytes are missing.
func (u *uploads) unfinished(c echo.Context) (id string, err error) {
	up, err := u.of(c)
	if err == nil && up.isWhole() {
		err = errUploaded
	}
	return up.info.ID, err
}

// keep puts a poster beside the upload, in the place of one before.
func (u *uploads) keep(id string, poster []byte) error {
	temp, err := os.CreateTemp(u.dir, id+".*.tmp")
	if err != nil {
		return err
	}
	_, err = temp.Write(poster)
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), u.path(id, posterPart))
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return nil
}

// makePoster draws a JPEG anew, so that nothing of the file that came is passed on. Decoding it may take so long.
func makePoster(data []byte, limit time.Duration) ([]byte, error) {
	if !bytes.HasPrefix(data, []byte("\xff\xd8\xff")) {
		return nil, web.Errorf(http.StatusUnsupportedMediaType, codes.PosterNotJPEG, "a poster is a JPEG")
	}
	broken := web.Errorf(http.StatusBadRequest, codes.InvalidPoster, "the picture cannot be read")
	config, err := jpeg.DecodeConfig(bytes.NewReader(data))
	if err != nil || config.Width < 1 || config.Height < 1 {
		return nil, broken.Because(err)
	}
	if config.Width > maxSide || config.Height > maxSide || config.Width*config.Height > maxPixels {
		return nil, web.Errorf(http.StatusRequestEntityTooLarge, codes.PosterTooLarge,
			"a poster may have up to %d pixels, and %d on a side", maxPixels, maxSide)
	}
	picture, err := jpeg.Decode(&hurried{bytes.NewReader(data), time.Now().Add(limit)})
	if err != nil {
		return nil, broken.Because(err)
	}
	var made bytes.Buffer
	if err := jpeg.Encode(&made, picture, &jpeg.Options{Quality: 80}); err != nil {
		return nil, err
	}
	return made.Bytes(), nil
}

// hurried fails when its time is over. A JPEG of few bytes can go over all its pixels a hundred thousand times; the
// decoder reads on every 4 KiB.
type hurried struct {
	io.Reader
	until time.Time
}

func (h *hurried) Read(p []byte) (int, error) {
	if time.Now().After(h.until) {
		return 0, errors.New("it takes too long")
	}
	return h.Reader.Read(p)
}
