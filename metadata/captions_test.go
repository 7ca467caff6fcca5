package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
	"flixtube/contracts/limits"
)

const (
	subRip = "1\n00:00:01,000 --> 00:00:02,500\nHello\n"
	webVTT = "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\nHello\n"
)

func storedCaptions(t *testing.T, s *store) int64 {
	t.Helper()
	n, err := s.captions.CountDocuments(t.Context(), bson.D{})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func getCaptions(t *testing.T, h http.Handler, query, etag string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/captions?"+query, nil)
	req.Header.Set("If-None-Match", etag)
	res := httptest.NewRecorder()
	h.ServeHTTP(res, req)
	return res
}

func TestCaptions(t *testing.T) {
	s := newTestStore(t)
	h := chassistest.Documented(t, newHandler(s, func() {}, quiet))
	insert(t, s, video{ID: "v", Owner: "ann", UploadedAt: time.Now()}, video{ID: "w", Owner: "ann", UploadedAt: time.Now()})
	languages := func() any {
		_, answer := call(t, h, "GET", "/video?id=v", "", "")
		return answer["video"].(map[string]any)["captions"]
	}
	for _, c := range []struct {
		method, query, viewer, body string
		status                      int
		code                        string
	}{
		{"PUT", "id=v&language=ko", "bob", subRip, 403, codes.NotOwner},
		{"PUT", "id=v&language=ko", "", subRip, 401, web.CodeViewerMissing},
		{"PUT", "id=x&language=ko", "ann", subRip, 404, codes.VideoNotFound},
		{"PUT", "id=v&language=", "ann", subRip, 400, codes.InvalidLanguage},
		{"PUT", "id=v&language=und", "ann", subRip, 400, codes.InvalidLanguage},
		{"PUT", "id=v&language=<script>", "ann", subRip, 400, codes.InvalidLanguage},
		{"PUT", "id=v&language=en-x-" + strings.Repeat("abcdefg-", 5) + "a", "ann", subRip, 400, codes.InvalidLanguage},
		{"PUT", "id=v&language=ko", "ann", "WEBVTT\n\n1\n", 400, codes.CaptionsNoTiming},
		{"PUT", "id=v&language=ko", "ann", "", 400, codes.CaptionsEmpty},
		{"PUT", "id=v&language=ko", "ann", strings.Repeat("x", limits.Captions+1), 413, web.CodeBodyTooLarge},
		{"PUT", "id=v&language=KO", "ann", subRip, 204, ""},
		{"PUT", "id=v&language=zh-hant", "ann", webVTT, 204, ""},
		{"PUT", "id=v&language=ko", "ann", webVTT, 204, ""},
		{"PUT", "id=w&language=ko", "ann", webVTT, 204, ""},
		{"DELETE", "id=v&language=zh-Hant", "bob", "", 403, codes.NotOwner},
		{"DELETE", "id=v&language=fr", "ann", "", 204, ""},
	} {
		status, answer := call(t, h, c.method, "/captions?"+c.query, c.viewer, c.body)
		if code, _ := answer["code"].(string); status != c.status || code != c.code {
			t.Errorf("%s %s: %d %v", c.method, c.query, status, answer)
		}
	}
	if got := fmt.Sprint(languages()); got != "[ko zh-Hant]" {
		t.Errorf("the video has captions in %s", got)
	}
	res := getCaptions(t, h, "id=v&language=ko", "")
	if res.Code != 200 || res.Body.String() != webVTT || res.Header().Get("Content-Type") != "text/vtt; charset=utf-8" {
		t.Errorf("%d %q %q", res.Code, res.Header(), res.Body)
	}
	if again := getCaptions(t, h, "id=v&language=ko", res.Header().Get("ETag")); again.Code != http.StatusNotModified {
		t.Errorf("asked again: %d", again.Code)
	}
	for _, query := range []string{"id=v&language=fr", "id=x&language=ko", "id=v&language=ko%20v"} {
		if res := getCaptions(t, h, query, ""); res.Code != 404 && res.Code != 400 {
			t.Errorf("%s: %d", query, res.Code)
		}
	}
	call(t, h, "DELETE", "/captions?id=v&language=zh-Hant", "ann", "")
	if got := fmt.Sprint(languages()); got != "[ko]" || storedCaptions(t, s) != 2 {
		t.Errorf("the video has captions in %s; %d are stored", got, storedCaptions(t, s))
	}
}

func TestCaptionFaultNamesTheLine(t *testing.T) {
	s := newTestStore(t)
	h := newHandler(s, func() {}, quiet)
	insert(t, s, video{ID: "v", Owner: "ann", UploadedAt: time.Now()})
	_, answer := call(t, h, "PUT", "/captions?id=v&language=ko", "ann", subRip+"\n2\n00:00:03,000 --> 00:00:02,000\nback\n")
	if args, _ := answer["args"].(map[string]any); answer["code"] != codes.CaptionsBackwards || args["line"] != 6.0 {
		t.Errorf("%v", answer)
	}
}

func TestTooManyLanguages(t *testing.T) {
	s := newTestStore(t)
	h := chassistest.Documented(t, newHandler(s, func() {}, quiet))
	known := strings.Fields("ar bn cs da de el en es fa fi fr he hi hu id it ja ko nl no")
	insert(t, s, video{ID: "v", Owner: "ann", Captions: known, UploadedAt: time.Now()})
	if status, answer := call(t, h, "PUT", "/captions?id=v&language=pl", "ann", subRip); status != 409 || answer["code"] != codes.TooManyLanguages {
		t.Errorf("one more: %d %v", status, answer)
	}
	if status, _ := call(t, h, "PUT", "/captions?id=v&language=ko", "ann", subRip); status != 204 {
		t.Errorf("one of them: %d", status)
	}
}

// TestCaptionsAreRemovedWithTheVideo: they cannot be had from the moment of the removal, and are deleted before its announcement
// is done with; also when a kill has interrupted that, or an upload of captions that the removal overtook.
func TestCaptionsAreRemovedWithTheVideo(t *testing.T) {
	s := newTestStore(t)
	h := newHandler(s, func() {}, quiet)
	ctx := t.Context()
	insert(t, s, video{ID: "v", Owner: "ann", UploadedAt: time.Now()}, video{ID: "w", Owner: "ann", UploadedAt: time.Now()})
	for _, id := range []string{"v", "w"} {
		if err := s.putCaptions(ctx, id, "ann", "ko", webVTT); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.remove(ctx, "v", "ann"); err != nil {
		t.Fatal(err)
	}
	if res := getCaptions(t, h, "id=v&language=ko", ""); res.Code != 404 {
		t.Errorf("captions of a removed video: %d", res.Code)
	}
	if err := s.putCaptions(ctx, "v", "ann", "en", webVTT); !errors.Is(err, errNoVideo) {
		t.Errorf("added to a removed video: %v", err)
	}
	insert(t, &store{videos: s.captions}, captions{captionsID("v", "en"), "v", webVTT}) // and nothing more, as after a kill
	_, forget, err := newRemovals(s).Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := forget(ctx); err != nil || storedCaptions(t, s) != 1 {
		t.Errorf("announced: %v; %d captions are stored, want those of w", err, storedCaptions(t, s))
	}
	insert(t, &store{videos: s.captions}, captions{captionsID("v", "en"), "v", webVTT}, captions{captionsID("never", "en"), "never", webVTT})
	if err := s.ready(ctx); err != nil || storedCaptions(t, s) != 1 {
		t.Errorf("started again: %v; %d captions are stored, want those of w", err, storedCaptions(t, s))
	}
	if res := getCaptions(t, h, "id=w&language=ko", ""); res.Code != 200 {
		t.Errorf("captions of the other video: %d", res.Code)
	}
}

// TestCaptionsWhileRemoving: whichever comes first, nothing is left.
func TestCaptionsWhileRemoving(t *testing.T) {
	s := newTestStore(t)
	ctx := t.Context()
	for i := range 20 {
		id := fmt.Sprint("v", i)
		insert(t, s, video{ID: id, Owner: "ann", UploadedAt: time.Now()})
		done := make(chan error)
		go func() { done <- s.putCaptions(ctx, id, "ann", "ko", webVTT) }()
		if err := s.remove(ctx, id, "ann"); err != nil {
			t.Fatal(err)
		}
		_, forget, err := newRemovals(s).Next(ctx)
		if err = errors.Join(err, forget(ctx)); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil && !errors.Is(err, errNoVideo) {
			t.Fatal(err)
		}
	}
	if n := storedCaptions(t, s); n != 0 {
		t.Errorf("%d captions of removed videos are stored", n)
	}
}
