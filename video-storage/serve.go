package main

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"

	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

// serve answers GET and HEAD with http.ServeContent, which does most of RFC 9110, sections 13 and 14, and adds the rest.
func serve(w http.ResponseWriter, req *http.Request, v *video) {
	h := w.Header()
	h.Set("Content-Type", v.contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("ETag", v.etag)
	if value := normalRange(req); value != req.Header.Get("Range") {
		req = req.Clone(req.Context())
		req.Header["Range"] = []string{value}
	}
	// The file itself, not v: only an *os.File is sent with sendfile.
	http.ServeContent(&contentWriter{ResponseWriter: w, req: req, content: v}, req, "", v.modified, v.ReadSeekCloser)
}

const (
	maxRanges   = 32
	maxPosition = "9223372036854775807" // no video is as long
)

var (
	hugePosition = regexp.MustCompile(`[1-9]\d{18,}`)
	lastZero     = regexp.MustCompile(`^-\s*0+$`)
)

// normalRange returns the Range for ServeContent, or "" for the whole video. Section 14.2 has a Range ignored for other
// methods than GET and for unknown units, and allows that for a set of many ranges; by section 14.1.2 the last 0 bytes
// cannot be satisfied, and a position may have any number of digits.
func normalRange(req *http.Request) string {
	unit, set, _ := strings.Cut(req.Header.Get("Range"), "=")
	if req.Method != http.MethodGet || !strings.EqualFold(unit, "bytes") || strings.Count(set, ",") >= maxRanges {
		return ""
	}
	specs := strings.Split(set, ",")
	for i, spec := range specs {
		specs[i] = strings.TrimSpace(spec)
		if len(specs[i]) >= len(maxPosition) {
			specs[i] = hugePosition.ReplaceAllString(specs[i], maxPosition)
		}
		if strings.HasPrefix(specs[i], "-") && lastZero.MatchString(specs[i]) {
			specs[i] = maxPosition + "-"
		}
	}
	return "bytes=" + strings.Join(specs, ",")
}

// contentWriter is the ResponseWriter that ServeContent uses. It turns every 416 into an error of ours, with the length
// of the video (section 15.5.17).
type contentWriter struct {
	http.ResponseWriter
	req      *http.Request
	content  io.Seeker
	rejected bool
}

func (w *contentWriter) WriteHeader(status int) {
	if status != http.StatusRequestedRangeNotSatisfiable {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.rejected = true
	unsatisfiable := web.Errorf(status, codes.RangeUnsatisfiable, "the video has no such range of bytes")
	if size, err := w.content.Seek(0, io.SeekEnd); err == nil {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", size))
		unsatisfiable = unsatisfiable.With("size", size)
	}
	unsatisfiable.Write(w.ResponseWriter, w.req)
}

func (w *contentWriter) Write(p []byte) (int, error) {
	if w.rejected {
		return len(p), nil // ServeContent's own error text
	}
	return w.ResponseWriter.Write(p)
}

// ReadFrom lets the connection use sendfile if src is a file.
func (w *contentWriter) ReadFrom(src io.Reader) (int64, error) { return io.Copy(w.ResponseWriter, src) }
