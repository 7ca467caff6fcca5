package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// FuzzStartsAtZero: a response is taken for one that has the first byte if it has, by net/http's reading of the ranges. A
// suffix among several ranges is left out: how long the video is does not stand in the header of the response.
func FuzzStartsAtZero(f *testing.F) {
	content := append([]byte{0}, bytes.Repeat([]byte("x"), 99)...)
	f.Fuzz(func(t *testing.T, asked string) {
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.Header.Set("Range", asked)
		w := httptest.NewRecorder()
		http.ServeContent(w, req, "a.mp4", time.Time{}, bytes.NewReader(content))
		res := w.Result()
		res.Request = req
		if !showsVideo(res) {
			return
		}
		several := strings.HasPrefix(res.Header.Get("Content-Type"), "multipart/")
		if got, want := startsAtZero(res), bytes.IndexByte(w.Body.Bytes(), 0) >= 0; got != want && (!several || !hasSuffixRange(asked)) {
			t.Errorf("Range: %q: %t, want %t", asked, got, want)
		}
	})
}

func hasSuffixRange(asked string) bool {
	for part := range strings.SplitSeq(strings.TrimPrefix(asked, "bytes="), ",") {
		if strings.HasPrefix(strings.TrimSpace(part), "-") {
			return true
		}
	}
	return false
}
