package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"flixtube/contracts/limits"
)

const jpeg = "\xff\xd8\xff\xe0"

func testPosters(t *testing.T, base string, videos store) {
	url := base + "/poster?id=p"
	expect(t, 404, "PUT", url, jpeg)
	expect(t, 404, "GET", url, "")
	expect(t, 201, "POST", base+"/upload", "the video", "id: p", "Content-Type: video/mp4")
	expect(t, 404, "GET", url, "")
	expect(t, 404, "HEAD", url, "")
	for _, id := range []string{"", "..", "..%2fp", "p%2fvideo", "p.jpg", strings.Repeat("x", 65)} {
		for _, method := range []string{"GET", "HEAD", "PUT"} {
			expect(t, 400, method, base+"/poster?id="+id, jpeg)
		}
	}
	expect(t, 400, "GET", base+"/video?id=p.jpg", "")

	large := jpeg + strings.Repeat("x", limits.Poster-len(jpeg))
	expect(t, 204, "PUT", url, large)
	expect(t, 204, "PUT", url, jpeg+"first")
	for body, status := range map[string]int{
		large + "x": 413, "": 415, "\xff\xd8": 415, "GIF89a": 415, "x" + jpeg: 415, "<svg/>": 415,
	} {
		expect(t, status, "PUT", url, body, "Content-Type: image/jpeg")
	}
	cutOff(t, base, "PUT /poster?id=p HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"+jpeg+"half") // the one before stays

	first := expect(t, 200, "HEAD", url, "")
	etag := first.Header.Get("ETag")
	if !strings.HasPrefix(etag, `"`) || first.Header.Get("Last-Modified") == "" || first.Header.Get("Content-Type") != "image/jpeg" {
		t.Fatal(first.Header)
	}
	for header, want := range map[string]string{
		"Accept: */*": "200 " + jpeg + "first", "Range: bytes=4-5": "206 fi", "If-None-Match: " + etag: "304 ",
	} {
		res, body := call(t, "GET", url, "", header)
		if got := fmt.Sprint(res.StatusCode, " ", body); got != want {
			t.Errorf("%s: %s, want %s", header, got, want)
		}
	}

	expect(t, 204, "PUT", url, jpeg+"other") // as long, and in the same instant
	res, body := call(t, "GET", url, "", "If-None-Match: "+etag)
	if res.StatusCode != 200 || body != jpeg+"other" || res.Header.Get("ETag") == etag {
		t.Errorf("replaced: %d %q %q, before %q", res.StatusCode, body, res.Header.Get("ETag"), etag)
	}
	if _, body := call(t, "GET", base+"/video?id=p", ""); body != "the video" {
		t.Errorf("the video has become %q", body)
	}

	expect(t, 204, "DELETE", base+"/video?id=p", "")
	expect(t, 404, "GET", url, "")
	expect(t, 201, "POST", base+"/upload", "another video", "id: p")
	expect(t, 404, "GET", url, "")
	expect(t, 204, "PUT", url, jpeg)
	expect(t, 204, "DELETE", base+"/video?id=p", "")
	if left := contents(t, videos, "p"); left != "" {
		t.Errorf("left behind: %s", left)
	}
}

// testPosterAndDelete: in whatever order the two end, and even if a delete stops halfway, a sweep leaves nothing.
func testPosterAndDelete(t *testing.T, videos store) {
	create := func() {
		if err := videos.Create(t.Context(), "both", "video/mp4", strings.NewReader("data")); err != nil {
			t.Fatal(err)
		}
	}
	for range 30 {
		create()
		var work sync.WaitGroup
		for range 3 {
			work.Go(func() {
				if err := videos.SavePoster(t.Context(), "both", []byte(jpeg)); err != nil && !errors.Is(err, errNotFound) {
					t.Error(err)
				}
			})
		}
		if err := videos.Delete(t.Context(), "both"); err != nil {
			t.Error(err)
		}
		work.Wait()
		sweepUp(t, videos, "both")
	}
	if b, ok := videos.(*blobs); ok {
		create()
		if err := errors.Join(b.SavePoster(t.Context(), "both", []byte(jpeg)), b.delete(t.Context(), "both")); err != nil {
			t.Fatal(err)
		}
		sweepUp(t, videos, "both")
	}
}

// sweepUp deletes an id if a sweep finds it. Then nothing may be left of it.
func sweepUp(t *testing.T, videos store, id videoID) {
	t.Helper()
	ids, err := videos.StoredBetween(t.Context(), time.Time{}, time.Now().Add(time.Minute))
	if err == nil && slices.Contains(ids, id) {
		err = videos.Delete(t.Context(), id)
	}
	if err != nil {
		t.Fatal(err)
	}
	if left := contents(t, videos, string(id)); left != "" {
		t.Fatalf("left behind: %s", left)
	}
}

// contents lists the files or blobs of an id, and unfinished ones.
func contents(t *testing.T, videos store, id string) string {
	t.Helper()
	var names, left []string
	switch s := videos.(type) {
	case *directory:
		err := fs.WalkDir(os.DirFS(s.path), ".", func(path string, _ fs.DirEntry, err error) error {
			names = append(names, path)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		left = leftUnfinished(t, s)
	case *blobs:
		for pages := s.container.NewListBlobsFlatPager(nil); pages.More(); {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, item := range page.Segment.BlobItems {
				names = append(names, *item.Name)
			}
		}
	}
	for _, name := range names {
		if name == id || strings.HasPrefix(name, id+".") || strings.HasPrefix(name, id+"/") {
			left = append(left, name)
		}
	}
	return strings.Join(left, " ")
}
