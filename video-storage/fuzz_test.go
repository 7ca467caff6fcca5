package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// FuzzRange: whatever a Range says, the answer has those bytes of the video that its Content-Range names, or all of them.
func FuzzRange(f *testing.F) {
	content := make([]byte, 1000)
	for i := range content {
		content[i] = byte(i)
	}
	f.Fuzz(func(t *testing.T, value string) {
		req := httptest.NewRequest(http.MethodGet, "/video?id=x", nil)
		req.Header.Set("Range", value)
		res := httptest.NewRecorder()
		serve(res, req, &video{
			ReadSeekCloser: struct {
				io.ReadSeeker
				io.Closer
			}{bytes.NewReader(content), nil},
			contentType: "video/mp4", etag: `"x"`, modified: time.Unix(1e9, 0),
		})
		body, span := res.Body.Bytes(), res.Header().Get("Content-Range")
		switch res.Code {
		case http.StatusOK:
			if !bytes.Equal(body, content) {
				t.Errorf("200 with %d bytes", len(body))
			}
		case http.StatusRequestedRangeNotSatisfiable:
			if span != "bytes */1000" {
				t.Errorf("416 with Content-Range %q", span)
			}
		case http.StatusPartialContent:
			if strings.HasPrefix(res.Header().Get("Content-Type"), "multipart/byteranges") {
				if len(body) > len(content)+maxRanges*500 { // the parts are never longer than the video, but each has headers
					t.Errorf("several ranges with %d bytes", len(body))
				}
				return
			}
			var first, last, size int
			_, err := fmt.Sscanf(span, "bytes %d-%d/%d", &first, &last, &size)
			if err != nil || size != len(content) || !bytes.Equal(body, content[first:last+1]) {
				t.Errorf("206 with Content-Range %q and %d bytes", span, len(body))
			}
		default:
			t.Errorf("status %d", res.Code)
		}
	})
}

// FuzzID: an id that is accepted names one file in the directory and one blob, and no poster.
func FuzzID(f *testing.F) {
	dir, err := openDirectory(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { dir.Close() })
	f.Fuzz(func(t *testing.T, text string) {
		id, err := parseID(text)
		if err != nil {
			return
		}
		if string(id) != text || !filepath.IsLocal(text) || filepath.Base(text) != text || len(text) > maxID || strings.Contains(text, ".") {
			t.Errorf("accepted %q as %q", text, id)
		}
		if _, err := dir.Open(t.Context(), id); !errors.Is(err, errNotFound) {
			t.Errorf("open %q: %v", text, err)
		}
	})
}
