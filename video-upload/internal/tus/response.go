package tus

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path"
	"strings"
	"time"

	"flixtube/chassis/process"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

// responseWriter gives tusd's responses the form of our others.
type responseWriter struct {
	http.ResponseWriter
	req    *http.Request
	limit  int64
	log    *slog.Logger
	failed int // the status of an error whose body is still to come
}

// Unwrap is for http.ResponseController.
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// SetWriteDeadline does nothing: the process has the deadlines of connections. tusd's would end a response that waits for
// the storage, and would still be set for the next requests on the connection.
func (w *responseWriter) SetWriteDeadline(time.Time) error { return nil }

// SetReadDeadline ends a read in flight, for another request that wants the upload. tusd's other deadlines are the
// process's affair, too: the last one would pass while the response waits for the storage, and net/http would take the
// client for gone.
func (w *responseWriter) SetReadDeadline(t time.Time) error {
	if t.After(time.Now()) {
		return nil
	}
	return http.NewResponseController(w.ResponseWriter).SetReadDeadline(t)
}

// WriteHeader keeps back the status of an error until Write gets its text.
func (w *responseWriter) WriteHeader(status int) {
	h := w.Header()
	if location := h.Get("Location"); location != "" {
		h.Set("Location", "/uploads/"+path.Base(location))
	}
	if status >= http.StatusBadRequest && h.Get("Content-Length") != "" {
		w.failed = status
		h.Del("Content-Length")
		return
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write gets an error as "ERR_CODE: text".
func (w *responseWriter) Write(p []byte) (int, error) {
	if w.failed == 0 {
		return w.ResponseWriter.Write(p)
	}
	code, text, _ := strings.Cut(strings.TrimSpace(string(p)), ": ")
	answer := w.answer(code, text)
	if answer.Status >= http.StatusInternalServerError {
		w.log.ErrorContext(w.req.Context(), "upload failed", "status", answer.Status, "error", text)
	}
	answer.Write(w.ResponseWriter, w.req)
	return len(p), nil
}

// answer returns our error for one of tusd's.
func (w *responseWriter) answer(code, text string) *web.Error {
	switch code {
	case rejected:
		own := &web.Error{Status: w.failed}
		if err := json.Unmarshal([]byte(text), own); err == nil {
			return own
		}
	case "ERR_UPLOAD_NOT_FOUND":
		return errNotFound
	case "ERR_UPLOAD_LOCKED":
		return web.Errorf(w.failed, codes.UploadLocked, "another request is changing this upload")
	case "ERR_MAX_SIZE_EXCEEDED":
		return web.Errorf(w.failed, codes.VideoTooLarge, "a video may have up to %d bytes", w.limit).With("max", w.limit)
	case "ERR_READ_TIMEOUT":
		return web.BodyTimeout()
	case "ERR_UPLOAD_INTERRUPTED", "ERR_UNEXPECTED_EOF", "ERR_CONNECTION_RESET":
		return web.Errorf(http.StatusBadRequest, web.CodeBodyIncomplete, "%s", text)
	}
	if code == rejected || w.failed == http.StatusInternalServerError {
		return web.Errorf(w.failed, web.CodeInternal, "internal error")
	}
	return web.Errorf(w.failed, codes.InvalidTusRequest, "%s", text).With("reason", code)
}

// body has the error that tusd knows for a body that does not arrive in time.
type body struct{ io.ReadCloser }

func (b body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, process.ErrBodyTimeout) {
		err = os.ErrDeadlineExceeded
	}
	return n, err
}
