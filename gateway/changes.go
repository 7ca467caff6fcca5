package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/text"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

// maxForm bounds the owner's forms, in bytes: a name, percent-encoded.
const maxForm = 64 << 10

func (h *handler) rename(c echo.Context) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]string{"name": form.Get("name")})
	if err != nil {
		return err
	}
	if err := h.change(c, http.MethodPatch, h.inner.metadata, "video", form.Get("id"), body); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, "/video?"+url.Values{"id": {form.Get("id")}}.Encode())
}

// renameByScript takes the name as JSON. Metadata's answer stays here: it names the owner by what only the cookie holds.
func (h *handler) renameByScript(c echo.Context) error {
	body, err := web.ReadBody(c.Response(), c.Request(), maxForm)
	if err != nil {
		return err
	}
	if err := h.change(c, http.MethodPatch, h.inner.metadata, "video", c.QueryParam("id"), body); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func (h *handler) remove(c echo.Context) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	if err := h.change(c, http.MethodDelete, h.inner.metadata, "video", form.Get("id"), nil); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, "/")
}

func (h *handler) removeViewing(c echo.Context) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	if err := h.change(c, http.MethodDelete, h.inner.history, "viewed", form.Get("id"), nil); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, local(form.Get("back")))
}

func (h *handler) clearHistory(c echo.Context) error {
	if err := h.change(c, http.MethodDelete, h.inner.history, "history", "", nil); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, "/history")
}

func readForm(c echo.Context) (url.Values, error) {
	req := c.Request()
	req.Body = http.MaxBytesReader(c.Response(), req.Body, maxForm)
	if err := req.ParseForm(); err != nil {
		return nil, web.Errorf(http.StatusBadRequest, codes.InvalidForm, "the form cannot be read").Because(err)
	}
	return req.PostForm, nil
}

// change asks a service for it on behalf of the viewer; whether something is the viewer's, the service decides.
func (h *handler) change(c echo.Context, method string, service *url.URL, path, id string, body []byte) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), h.changeLimit)
	defer cancel()
	address := service.JoinPath(path)
	if id != "" {
		address.RawQuery = url.Values{"id": {id}}.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, address.String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	return h.send(req, web.Viewer(c.Request().Header), "the change was not made, try again in a moment")
}

// send does req for the viewer. What the service refuses is passed on in its own words; when it fails or does
// not answer, the words are failed.
func (h *handler) send(req *http.Request, viewer, failed string) error {
	req.Header.Set(web.ViewerHeader, viewer)
	res, err := h.inner.client.Do(req)
	if err != nil {
		return web.Errorf(http.StatusBadGateway, web.CodeNoAnswer, "%s", failed).Because(err)
	}
	defer res.Body.Close()
	if res.StatusCode < 300 {
		return nil
	}
	var answer struct {
		Error string `json:"error"`
		Code  string `json:"code"`
	}
	err = json.NewDecoder(io.LimitReader(res.Body, maxForm)).Decode(&answer)
	if res.StatusCode >= 500 || err != nil || answer.Error == "" {
		return web.Errorf(http.StatusBadGateway, web.CodeNoAnswer, "%s", failed).Because(errors.New(res.Status))
	}
	return web.Errorf(res.StatusCode, answer.Code, "%s", answer.Error)
}

// uploadForm passes the files of a form on, one after another, none of them held.
func (h *handler) uploadForm(c echo.Context) error {
	form, err := c.Request().MultipartReader()
	if err != nil {
		return web.Errorf(http.StatusUnsupportedMediaType, codes.NotAFileForm, "this is not a form with a file")
	}
	if err := h.sendFiles(c, form); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, "/")
}

// halfway is an error at one of several files: those before it are taken in.
type halfway struct {
	error
	taken int
	at    string // the file's name
}

func (h *halfway) Unwrap() error { return h.error }

func (h *handler) sendFiles(c echo.Context, form *multipart.Reader) error {
	taken := 0
	for {
		file, err := form.NextPart()
		if errors.Is(err, io.EOF) && taken > 0 {
			return nil
		}
		if errors.Is(err, io.EOF) {
			return web.Errorf(http.StatusBadRequest, codes.NoFile, "choose a video first")
		}
		if err != nil {
			return web.Errorf(http.StatusBadRequest, codes.InvalidForm, "the form cannot be read").Because(err)
		}
		if file.FileName() == "" {
			continue
		}
		if taken > 0 { // the first has been paid for
			err = h.limiter.charge(c, uploadCost)
		}
		if err == nil {
			err = h.sendFile(c.Request(), file)
		}
		if err != nil && taken > 0 {
			return &halfway{err, taken, text.Line(file.FileName())}
		}
		if err != nil {
			return err
		}
		taken++
	}
}

func (h *handler) sendFile(req *http.Request, file *multipart.Part) error {
	up, err := http.NewRequestWithContext(req.Context(), http.MethodPost, h.upload.String(), io.NopCloser(file))
	if err != nil {
		return err
	}
	up.Header.Set("File-Name", url.PathEscape(file.FileName()))
	up.Header.Set("Content-Type", file.Header.Get("Content-Type"))
	return h.send(up, web.Viewer(req.Header), "the video was not taken in, try again in a moment")
}

// readOutTime is how long the rest of a body is read after it has been refused. Browsers look at an answer
// only when they have sent everything: cutting them off would show them a broken connection instead.
const readOutTime = 30 * time.Second

// answerWhileSending lets the answer go out before the body is read to its end, and then reads the rest, so that the
// browser comes to see the answer.
func answerWhileSending(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		body := c.Request().Body
		if body == http.NoBody {
			return next(c)
		}
		control := http.NewResponseController(c.Response())
		_ = control.EnableFullDuplex() // HTTP/2 has it anyway
		if err := next(c); err != nil {
			c.Error(err)
		}
		_ = control.SetReadDeadline(time.Now().Add(readOutTime))
		if c.Request().Header.Get("Expect") != "" {
			return nil // such a client looks at the answer first, and may have nothing more to send
		}
		if c.Response().Committed {
			_ = control.Flush()
		}
		_, _ = io.Copy(io.Discard, body)
		return nil
	}
}
