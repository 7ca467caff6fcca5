package main

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
)

// serve answers GET and HEAD with http.ServeContent, which does the work of RFC 9110, sections 13 and 14,
// and sees to what that leaves undone.
func serve(w http.ResponseWriter, req *http.Request, v *video) {
	h := w.Header()
	h.Set("Content-Type", v.contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("ETag", v.etag)
	req = req.Clone(req.Context())
	if value := askedRange(req); value != "" {
		req.Header.Set("Range", value)
	} else {
		req.Header.Del("Range")
	}
	// The file itself, not v: sendfile is for an *os.File alone.
	http.ServeContent(&answer{ResponseWriter: w, content: v}, req, "", v.modified, v.ReadSeekCloser)
}

const (
	maxRanges = 32
	farAway   = "9223372036854775807" // no video is as long
)

var (
	huge    = regexp.MustCompile(`[1-9]\d{18,}`)
	nothing = regexp.MustCompile(`^-\s*0+$`)
)

// askedRange returns the Range that ServeContent is to act on, or "" for the whole video. Section 14.2 wants
// a Range ignored with another method than GET and in an unknown unit, and allows it for a set of many
// ranges; by section 14.1.2 the last 0 bytes cannot be had, and a number of any length is a position.
func askedRange(req *http.Request) string {
	unit, set, _ := strings.Cut(req.Header.Get("Range"), "=")
	if req.Method != http.MethodGet || !strings.EqualFold(unit, "bytes") || strings.Count(set, ",") >= maxRanges {
		return ""
	}
	specs := strings.Split(set, ",")
	for i, spec := range specs {
		specs[i] = huge.ReplaceAllString(strings.TrimSpace(spec), farAway)
		if nothing.MatchString(specs[i]) {
			specs[i] = farAway + "-"
		}
	}
	return "bytes=" + strings.Join(specs, ",")
}

// answer is the ResponseWriter that ServeContent sees. It gives every 416 the length of the video
// (section 15.5.17) and the form that errors have here.
type answer struct {
	http.ResponseWriter
	content io.Seeker
	refused bool
}

func (a *answer) WriteHeader(status int) {
	if status != http.StatusRequestedRangeNotSatisfiable {
		a.ResponseWriter.WriteHeader(status)
		return
	}
	a.refused = true
	if size, err := a.content.Seek(0, io.SeekEnd); err == nil {
		a.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", size))
	}
	const body = `{"error":"there is no such range"}`
	a.Header().Set("Content-Type", "application/json")
	a.ResponseWriter.WriteHeader(status)
	_, _ = io.WriteString(a.ResponseWriter, body)
}

func (a *answer) Write(p []byte) (int, error) {
	if a.refused {
		return len(p), nil // ServeContent's own words
	}
	return a.ResponseWriter.Write(p)
}

// ReadFrom is where the connection uses sendfile if src is a file.
func (a *answer) ReadFrom(src io.Reader) (int64, error) { return io.Copy(a.ResponseWriter, src) }
