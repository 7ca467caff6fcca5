package tus

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"time"

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

// SetWriteDeadline does nothing. tusd's deadline would end a response that waits for the storage, and would still be set
// for the next requests on the connection.
func (w *responseWriter) SetWriteDeadline(time.Time) error { return nil }

// WriteHeader keeps back the status of an error until Write gets its text.
func (w *responseWriter) WriteHeader(status int) {
	h := w.Header()
	if w.req.Context().Err() != nil {
		// tusd's read deadline has passed after the last byte, while the storage was busy. For net/http the client is
		// gone then, and so would be the clients of all other requests on this connection.
		h.Set("Connection", "close")
	}
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
	if answer.Status >= http.StatusInternalServerError && answer.Code != web.CodeBodyIncomplete {
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
	case "ERR_UPLOAD_INTERRUPTED", "ERR_UNEXPECTED_EOF", "ERR_READ_TIMEOUT", "ERR_CONNECTION_RESET":
		return web.Errorf(w.failed, web.CodeBodyIncomplete, "%s", text)
	}
	if code == rejected || w.failed == http.StatusInternalServerError {
		return web.Errorf(w.failed, web.CodeInternal, "internal error")
	}
	return web.Errorf(w.failed, codes.InvalidTusRequest, "%s", text).With("reason", code)
}
