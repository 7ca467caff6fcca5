package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
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

	large := jpeg + strings.Repeat("x", 1<<20-len(jpeg))
	expect(t, 204, "PUT", url, large)
	expect(t, 204, "PUT", url, jpeg+"first")
	for body, status := range map[string]int{
		large + "x": 413, "": 415, "\xff\xd8": 415, "GIF89a": 415, "x" + jpeg: 415, "<svg/>": 415,
	} {
		expect(t, status, "PUT", url, body, "Content-Type: image/jpeg")
	}
	cutOffPoster(t, base)

	first := expect(t, 200, "HEAD", url, "")
	etag, modified := first.Header.Get("ETag"), first.Header.Get("Last-Modified")
	if !strings.HasPrefix(etag, `"`) || modified == "" {
		t.Fatalf("ETag %q, Last-Modified %q", etag, modified)
	}
	for _, test := range []struct {
		method, header string
		status         int
		body           string
	}{
		{"GET", "Accept: */*", 200, jpeg + "first"},
		{"HEAD", "Accept: */*", 200, ""},
		{"GET", "If-None-Match: " + etag, 304, ""},
		{"HEAD", "If-None-Match: " + etag, 304, ""},
		{"GET", "If-Modified-Since: " + modified, 304, ""},
		{"GET", `If-None-Match: "other"`, 200, jpeg + "first"},
		{"GET", "Range: bytes=4-5", 206, "fi"},
		{"GET", "Range: bytes=9-", 416, `{"error":"there is no such range"}`},
	} {
		res, body := call(t, test.method, url, "", test.header)
		h := res.Header
		if res.StatusCode != test.status || body != test.body || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s: %d %q %v, want %d %q", test.method, test.header, res.StatusCode, body, h, test.status, test.body)
		}
		if test.status < 300 && (h.Get("Content-Type") != "image/jpeg" || h.Get("ETag") != etag || h.Get("Last-Modified") != modified) {
			t.Errorf("%s %s: %v", test.method, test.header, h)
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

// cutOffPoster sends half a poster; the one before stays.
func cutOffPoster(t *testing.T, base string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PUT /poster?id=p HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n%shalf", jpeg)
	_ = conn.(*net.TCPConn).CloseWrite()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 400 {
		t.Errorf("cut off: %s", res.Status)
	}
}

// testPosterAndDelete: whichever of the two is first, a removed video has no poster.
func testPosterAndDelete(t *testing.T, videos store) {
	for range 30 {
		if err := videos.Create(t.Context(), "both", "video/mp4", strings.NewReader("data")); err != nil {
			t.Fatal(err)
		}
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
		if left := contents(t, videos, "both"); left != "" {
			t.Fatalf("left behind: %s", left)
		}
	}
}

// contents is what the store has under an id, as it lies there, and what it has unfinished.
func contents(t *testing.T, videos store, id string) string {
	t.Helper()
	var names []string
	switch s := videos.(type) {
	case *directory:
		err := fs.WalkDir(os.DirFS(s.path), ".", func(path string, _ fs.DirEntry, err error) error {
			names = append(names, path)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
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
	var left []string
	for _, name := range names {
		if name == id || strings.HasPrefix(name, id+".") || strings.HasPrefix(name, id+"/") || strings.HasPrefix(name, unfinished) {
			left = append(left, name)
		}
	}
	return strings.Join(left, " ")
}

// TestBlobsInBetween stops before each request that blobs makes: something else happens there, or it is killed.
func TestBlobsInBetween(t *testing.T) {
	endpoint := chassistest.Azurite(t)
	open := func(endpoint string) *blobs {
		b, err := newBlobs(azure{chassistest.AzuriteAccount, chassistest.AzuriteKey, endpoint})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	videos := open(endpoint)
	if err := videos.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var gated func(request string) (passes bool)
	before := func(f func(string) bool) {
		mu.Lock()
		defer mu.Unlock()
		gated = f
	}
	passes := func(request string) bool {
		mu.Lock()
		defer mu.Unlock()
		return gated(request)
	}
	gate := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !passes(req.Method + " " + req.URL.Path[strings.LastIndex(req.URL.Path, "/")+1:]) {
			panic(http.ErrAbortHandler)
		}
		passOn(w, req, strings.TrimSuffix(endpoint, "/"+chassistest.AzuriteAccount))
	}))
	defer gate.Close()
	watched := open(gate.URL + "/" + chassistest.AzuriteAccount)
	save := func(b *blobs) error { return b.SavePoster(t.Context(), "v", []byte(jpeg)) }
	remove := func(b *blobs) error { return b.Delete(t.Context(), "v") }
	prepare := func(t *testing.T) {
		t.Helper()
		err := videos.Create(t.Context(), "v", "video/mp4", strings.NewReader("data"))
		if err := errors.Join(err, save(videos)); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("deleted while its poster is saved", func(t *testing.T) {
		prepare(t)
		before(func(request string) bool {
			if request == "PUT v.jpg" {
				if err := remove(videos); err != nil {
					t.Error(err)
				}
			}
			return true
		})
		if err := save(watched); !errors.Is(err, errNotFound) {
			t.Errorf("SavePoster: %v", err)
		}
		if left := contents(t, videos, "v"); left != "" {
			t.Errorf("left behind: %s", left)
		}
	})
	t.Run("poster saved while it is deleted", func(t *testing.T) {
		prepare(t)
		before(func(request string) bool {
			if request == "DELETE v" {
				if err := save(videos); err != nil {
					t.Error(err)
				}
			}
			return true
		})
		if err := remove(watched); err != nil {
			t.Error(err)
		}
		if left := contents(t, videos, "v"); left != "" {
			t.Errorf("left behind: %s", left)
		}
	})
	for killed := range 3 {
		t.Run(fmt.Sprintf("killed after %d deletions", killed), func(t *testing.T) {
			prepare(t)
			requests := 0
			before(func(string) bool { requests++; return requests <= killed })
			if err := remove(watched); err == nil {
				t.Error("Delete has not noticed")
			}
			ids, err := videos.StoredBefore(t.Context(), time.Now().Add(time.Minute))
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range ids { // what a sweep does
				if err := videos.Delete(t.Context(), id); err != nil {
					t.Fatal(err)
				}
			}
			if left := contents(t, videos, "v"); left != "" {
				t.Errorf("left behind: %s", left)
			}
		})
	}
}

func TestPosterSendfile(t *testing.T) {
	dir, err := openDirectory(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	err = dir.Create(t.Context(), "x", "video/mp4", strings.NewReader("data"))
	if err := errors.Join(err, dir.SavePoster(t.Context(), "x", []byte(jpeg))); err != nil {
		t.Fatal(err)
	}
	poster, err := dir.OpenPoster(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	defer poster.Close()
	if _, ok := poster.ReadSeekCloser.(*os.File); !ok {
		t.Errorf("a poster is a %T", poster.ReadSeekCloser)
	}
	if got, err := io.ReadAll(poster); err != nil || string(got) != jpeg {
		t.Errorf("read %q, %v", got, err)
	}
}
