package main

import (
	"bytes"
	"errors"
	"image"
	"image/jpeg"
	_ "image/png" // pictures that are taken, besides JPEG
	"io"
	"net/http"
	"os"
	"syscall"

	"github.com/labstack/echo/v4"
	"golang.org/x/image/draw"
	_ "golang.org/x/image/webp"

	"flixtube/chassis"
)

const (
	maxPoster   = 1 << 20 // bytes, of what comes and of what is made of it
	maxSide     = 4096    // pixels
	maxPixels   = 8 << 20 // a picture of 3840x2160 is taken
	posterWide  = 640     // pixels, at most
	posterHigh  = 1280
	maxDecoders = 2 // at a time: one may take a hundred MiB
)

// putPoster takes the poster of a video that is still on its way. It goes to the storage with the video.
func (u *uploads) putPoster(c echo.Context) error {
	up, err := u.of(c)
	if err != nil {
		return err
	}
	if up.isWhole() {
		return chassis.Errorf(http.StatusConflict, "this video is uploaded already")
	}
	req := c.Request()
	data, err := io.ReadAll(http.MaxBytesReader(c.Response(), req.Body, maxPoster))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return chassis.Errorf(http.StatusRequestEntityTooLarge, "a poster may have up to %d bytes", maxPoster)
	}
	if err != nil {
		return chassis.Errorf(http.StatusBadRequest, "the body broke off").Because(err)
	}
	select {
	case u.decoders <- struct{}{}:
	case <-req.Context().Done():
		return req.Context().Err()
	}
	made, err := makePoster(data)
	<-u.decoders
	if err != nil {
		return err
	}
	err = u.keep(up.info.ID, made)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return chassis.Errorf(http.StatusInsufficientStorage, "no space is left for the poster").Because(err)
	}
	if err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
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

// makePoster draws a picture anew as a JPEG of bounded size, so that nothing of the file that came is passed on.
func makePoster(data []byte) ([]byte, error) {
	config, _, err := image.DecodeConfig(bytes.NewReader(data))
	if errors.Is(err, image.ErrFormat) {
		return nil, chassis.Errorf(http.StatusUnsupportedMediaType, "a poster is a JPEG, PNG or WebP")
	}
	broken := chassis.Errorf(http.StatusBadRequest, "the picture cannot be read")
	if err != nil || config.Width < 1 || config.Height < 1 {
		return nil, broken.Because(err)
	}
	if config.Width > maxSide || config.Height > maxSide || config.Width*config.Height > maxPixels {
		return nil, chassis.Errorf(http.StatusRequestEntityTooLarge,
			"a poster may have up to %d pixels, and %d on a side", maxPixels, maxSide)
	}
	picture, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, broken.Because(err)
	}
	from := picture.Bounds()
	scale := min(1, posterWide/float64(from.Dx()), posterHigh/float64(from.Dy()))
	to := image.NewRGBA(image.Rect(0, 0, max(1, int(float64(from.Dx())*scale)), max(1, int(float64(from.Dy())*scale))))
	draw.BiLinear.Scale(to, to.Bounds(), picture, from, draw.Src, nil) // what is transparent becomes black
	var made bytes.Buffer
	if err := jpeg.Encode(&made, to, &jpeg.Options{Quality: 80}); err != nil {
		return nil, err
	}
	return made.Bytes(), nil
}
