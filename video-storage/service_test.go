package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/messaging"
	"flixtube/chassis/messaging/brokers"
	"flixtube/contracts"
)

// stores runs a test on every store that the service can have.
func stores(t *testing.T, test func(t *testing.T, base string, videos store)) {
	t.Helper()
	t.Run("directory", func(t *testing.T) {
		dir, err := openDirectory(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { dir.Close() })
		test(t, serveStore(t, dir), dir)
	})
	t.Run("azure", func(t *testing.T) {
		blobs, err := newBlobs(azure{chassistest.AzuriteAccount, chassistest.AzuriteKey, chassistest.Azurite(t)})
		if err != nil {
			t.Fatal(err)
		}
		if err := blobs.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		test(t, serveStore(t, blobs), blobs)
	})
}

func serveStore(t *testing.T, videos store) (base string) {
	t.Helper()
	maxUploads := blobUploads
	if _, ok := videos.(*directory); ok {
		maxUploads = directoryUploads
	}
	server := httptest.NewServer(chassistest.Documented(t,
		newHandler(videos, newUploadSlots(maxUploads), slog.New(slog.NewTextHandler(t.Output(), nil)), storeCheck(videos))))
	t.Cleanup(server.Close)
	return server.URL
}

// call sends a request whose headers are given as "Name: value".
func call(t *testing.T, method, url, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: read the body: %v", method, url, err)
	}
	return res, string(got)
}

func expect(t *testing.T, want int, method, url, body string, headers ...string) *http.Response {
	t.Helper()
	res, got := call(t, method, url, body, headers...)
	if res.StatusCode != want {
		t.Fatalf("%s %s: %d %s, want %d", method, url, res.StatusCode, got, want)
	}
	return res
}

// TestSuite holds both stores to the same behaviour, through the real handler.
func TestSuite(t *testing.T) {
	stores(t, func(t *testing.T, base string, videos store) {
		t.Run("get", func(t *testing.T) { testGet(t, base) })
		t.Run("several ranges", func(t *testing.T) { testSeveralRanges(t, base) })
		t.Run("change", func(t *testing.T) { testChange(t, base, videos) })
		t.Run("rejected", func(t *testing.T) { testRejected(t, base) })
		t.Run("cut off", func(t *testing.T) { testCutOff(t, base, videos) })
		t.Run("cancelled", func(t *testing.T) { testCancelled(t, videos) })
		t.Run("stored between", func(t *testing.T) { testStoredBetween(t, videos) })
		t.Run("posters", func(t *testing.T) { testPosters(t, base, videos) })
		t.Run("poster and delete", func(t *testing.T) { testPosterAndDelete(t, videos) })
		t.Run("announcements", func(t *testing.T) { testAnnouncements(t, base, videos) })
	})
}

func testGet(t *testing.T, base string) {
	const video = "0123456789"
	url := base + "/video?id=ten"
	expect(t, 201, "POST", base+"/upload", video, "id: ten", "Content-Type: video/mp4")
	first := expect(t, 200, "GET", url, "")
	etag, modified := first.Header.Get("ETag"), first.Header.Get("Last-Modified")
	if !strings.HasPrefix(etag, `"`) || modified == "" {
		t.Fatalf("ETag %q, Last-Modified %q", etag, modified)
	}
	const past, future = "Mon, 02 Jan 2006 15:04:05 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"
	for _, test := range []struct {
		method  string
		headers []string
		status  int
		rng     string // Content-Range
		body    string
	}{
		{"GET", nil, 200, "", video},
		{"HEAD", nil, 200, "", ""},
		{"GET", []string{"Range: bytes=0-"}, 206, "bytes 0-9/10", video},
		{"GET", []string{"Range: bytes=0-0"}, 206, "bytes 0-0/10", "0"},
		{"GET", []string{"Range: bytes=2-5"}, 206, "bytes 2-5/10", "2345"},
		{"GET", []string{"Range: Bytes=7-"}, 206, "bytes 7-9/10", "789"},
		{"GET", []string{"Range: bytes=7-100"}, 206, "bytes 7-9/10", "789"},
		{"GET", []string{"Range: bytes=7-99999999999999999999"}, 206, "bytes 7-9/10", "789"},
		{"GET", []string{"Range: bytes=-3"}, 206, "bytes 7-9/10", "789"},
		{"GET", []string{"Range: bytes=-100"}, 206, "bytes 0-9/10", video},
		{"GET", []string{"Range: bytes=20-30, 4-4"}, 206, "bytes 4-4/10", "4"},
		{"GET", []string{"Range: bytes=10-"}, 416, "bytes */10", ""},
		{"GET", []string{"Range: bytes=7-0000000000000000000000008"}, 206, "bytes 7-8/10", "78"},
		{"GET", []string{"Range: bytes=-99999999999999999999"}, 206, "bytes 0-9/10", video},
		{"GET", []string{"Range: bytes=99999999999999999999-"}, 416, "bytes */10", ""},
		{"GET", []string{"Range: bytes=-0"}, 416, "bytes */10", ""},
		{"GET", []string{"Range: bytes=5-2"}, 416, "bytes */10", ""},
		{"GET", []string{"Range: bytes=x-y"}, 416, "bytes */10", ""},
		{"GET", []string{"Range: lines=1-2"}, 200, "", video},
		{"GET", []string{"Range: bytes=" + strings.Repeat("20-,", 100) + "2-2"}, 200, "", video},
		{"HEAD", []string{"Range: bytes=2-5"}, 200, "", ""},
		{"GET", []string{"Range: bytes=2-5", "If-Range: " + etag}, 206, "bytes 2-5/10", "2345"},
		{"GET", []string{"Range: bytes=2-5", "If-Range: W/" + etag}, 200, "", video},
		{"GET", []string{"Range: bytes=2-5", `If-Range: "other"`}, 200, "", video},
		{"GET", []string{"Range: bytes=2-5", "If-Range: " + modified}, 206, "bytes 2-5/10", "2345"},
		{"GET", []string{"Range: bytes=2-5", "If-Range: " + past}, 200, "", video},
		{"GET", []string{"If-None-Match: " + etag}, 304, "", ""},
		{"HEAD", []string{"If-None-Match: " + etag}, 304, "", ""},
		{"GET", []string{`If-None-Match: "a", W/` + etag}, 304, "", ""},
		{"GET", []string{`If-None-Match: "a"`, "If-Modified-Since: " + future}, 200, "", video},
		{"GET", []string{"If-None-Match: *", "Range: bytes=2-5"}, 304, "", ""},
		{"GET", []string{"If-Modified-Since: " + modified}, 304, "", ""},
		{"GET", []string{"If-Modified-Since: " + past}, 200, "", video},
		{"GET", []string{"If-Match: " + etag}, 200, "", video},
		{"GET", []string{`If-Match: "other"`}, 412, "", ""},
		{"GET", []string{"If-Unmodified-Since: " + past}, 412, "", ""},
	} {
		t.Run(fmt.Sprint(test.method, test.headers), func(t *testing.T) {
			res, body := call(t, test.method, url, "", test.headers...)
			h := res.Header
			if res.StatusCode != test.status || h.Get("Content-Range") != test.rng {
				t.Fatalf("%d, Content-Range %q; want %d, %q", res.StatusCode, h.Get("Content-Range"), test.status, test.rng)
			}
			if test.status == 416 {
				if h.Get("Content-Type") != "application/json" ||
					body != `{"error":"the video has no such range of bytes","code":"range_unsatisfiable","args":{"size":10}}`+"\n" {
					t.Errorf("Content-Type %q: %s", h.Get("Content-Type"), body)
				}
			} else if body != test.body {
				t.Errorf("body %q, want %q", body, test.body)
			}
			if h.Get("X-Content-Type-Options") != "nosniff" {
				t.Error("nosniff is missing")
			}
			if test.status >= 300 {
				return
			}
			length := int64(len(video))
			if test.status == 206 {
				length = int64(len(body))
			}
			if res.ContentLength != length || h.Get("Content-Type") != "video/mp4" || h.Get("Accept-Ranges") != "bytes" ||
				h.Get("ETag") != etag || h.Get("Last-Modified") != modified {
				t.Errorf("Content-Length %d, %v", res.ContentLength, h)
			}
		})
	}
}

func testSeveralRanges(t *testing.T, base string) {
	expect(t, 201, "POST", base+"/upload", "0123456789", "id: parts", "Content-Type: video/mp4")
	res, body := call(t, "GET", base+"/video?id=parts", "", "Range: bytes=6-7,1-2,-1")
	kind, params, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if res.StatusCode != 206 || kind != "multipart/byteranges" || err != nil {
		t.Fatalf("%s, Content-Type %q", res.Status, res.Header.Get("Content-Type"))
	}
	parts := multipart.NewReader(strings.NewReader(body), params["boundary"])
	var got []string
	for {
		part, err := parts.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, _ := io.ReadAll(part)
		got = append(got, fmt.Sprint(part.Header.Get("Content-Range"), part.Header.Get("Content-Type"), string(data)))
	}
	want := "[bytes 6-7/10video/mp467 bytes 1-2/10video/mp412 bytes 9-9/10video/mp49]"
	if fmt.Sprint(got) != want {
		t.Errorf("parts %v, want %s", got, want)
	}
}

// testChange: a video is never replaced, only deleted. After that its id may be used again, for another video.
func testChange(t *testing.T, base string, videos store) {
	url := base + "/video?id=a_b-C"
	large := strings.Repeat("first", 2<<20) // several blocks
	expect(t, 204, "DELETE", url, "")
	expect(t, 404, "GET", url, "")
	expect(t, 404, "HEAD", url, "")
	expect(t, 201, "POST", base+"/upload", large, "id: a_b-C")
	expect(t, 409, "POST", base+"/upload", "second", "id: a_b-C", "Content-Type: video/webm")
	expect(t, 409, "POST", base+"/upload", large, "id: a_b-C", "Content-Type: video/webm")
	res, body := call(t, "GET", url, "")
	if body != large || res.Header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("the first video did not stay: %d bytes, %q", len(body), res.Header.Get("Content-Type"))
	}
	old, err := videos.Open(t.Context(), "a_b-C")
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	expect(t, 204, "DELETE", url, "")
	expect(t, 404, "GET", url, "")
	expect(t, 201, "POST", base+"/upload", strings.Repeat("other", 2<<20), "id: a_b-C")
	if again := expect(t, 200, "HEAD", url, ""); again.Header.Get("ETag") == res.Header.Get("ETag") {
		t.Error("other bytes have the same ETag")
	}
	if got, err := io.ReadAll(old); strings.Contains(string(got), "other") || (err == nil && string(got) != large) {
		t.Errorf("two videos mix: %d bytes, %v", len(got), err)
	}
	expect(t, 200, "GET", base+"/readyz", "")
}

func testRejected(t *testing.T, base string) {
	for _, id := range []string{
		"", ".", "..", "../secret", "..%2fsecret", "/etc/passwd", `..\secret`, "a/b", "a.b", ".unfinished-x", "a b",
		"a%00", "ä", strings.Repeat("x", 65), "x/video", "*", "?",
	} {
		query := "/video?id=" + strings.NewReplacer("/", "%2F", " ", "%20", "?", "%3F").Replace(id)
		expect(t, 400, "GET", base+query, "")
		expect(t, 400, "HEAD", base+query, "")
		expect(t, 400, "DELETE", base+query, "")
		expect(t, 400, "POST", base+"/upload", "data", "id: "+id)
	}
	if _, body := call(t, "GET", base+"/video", ""); !strings.Contains(body, `"code":"invalid_id","args":{"max":64,"name":"id"}`) {
		t.Errorf("without an id: %s", body)
	}
	expect(t, 400, "POST", base+"/upload", "", "id: empty")
	expect(t, 400, "POST", base+"/upload", "data", "id: type", "Content-Type: a/b/c; =")
	expect(t, 404, "GET", base+"/video?id=empty", "")
	expect(t, 404, "GET", base+"/video?id=type", "")
	expect(t, 405, "PUT", base+"/video?id=x", "")
}

func testCutOff(t *testing.T, base string, videos store) {
	for i, head := range []string{
		"Content-Length: 20000000\r\n\r\n",
		"Content-Length: 100\r\n\r\n",
		"Transfer-Encoding: chunked\r\n\r\n1312D00\r\n",         // 20,000,000
		"Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n",       // no last chunk
		"Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\nzz\r\n", // no chunk at all
	} {
		id := fmt.Sprintf("cut-%d", i)
		body := ""
		if strings.Contains(head, "00") && i != 1 {
			body = strings.Repeat("v", 10_000_000) // two blocks and a half
		} else if i == 1 {
			body = "half of it"
		}
		cutOff(t, base, "POST /upload HTTP/1.1\r\nHost: x\r\nid: "+id+"\r\nContent-Type: video/mp4\r\n"+head+body)
		expect(t, 404, "GET", base+"/video?id="+id, "")
		// As large as the incomplete upload: Azurite counts the blocks that are left of it as a blob, but only when the next
		// upload has a single block.
		expect(t, 201, "POST", base+"/upload", strings.Repeat("whole", 1<<20), "id: "+id)
	}
	if dir, ok := videos.(*directory); ok {
		if left := leftUnfinished(t, dir); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

// cutOff sends an incomplete request and expects 400. After the response the service is done with the request.
func cutOff(t *testing.T, base, request string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, request)
	_ = conn.(*net.TCPConn).CloseWrite()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 400 {
		t.Errorf("%.40q: %s", request, res.Status)
	}
}

// testCancelled: reading for a request that is over ends, at the latest with Close, and nothing is stored for one.
func testCancelled(t *testing.T, videos store) {
	if err := videos.Create(t.Context(), "cancelled", "video/mp4", bytes.NewReader(make([]byte, 20<<20))); err != nil {
		t.Fatal(err)
	}
	v, err := videos.Open(t.Context(), "cancelled")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	v.Close()
	if n, err := io.Copy(io.Discard, v); err == nil {
		t.Errorf("read %d bytes after Close", n)
	}

	ctx, cancel := context.WithCancel(t.Context())
	whole := io.MultiReader(strings.NewReader("data"), readerFunc(func([]byte) (int, error) { cancel(); return 0, io.EOF }))
	if err := videos.Create(ctx, "too late", "video/mp4", whole); err == nil {
		t.Error("an upload that was cancelled is stored")
	}
	if left := contents(t, videos, "too late"); left != "" {
		t.Errorf("left behind: %s", left)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func testStoredBetween(t *testing.T, videos store) {
	if err := videos.Create(t.Context(), "now", "video/mp4", strings.NewReader("data")); err != nil {
		t.Fatal(err)
	}
	for _, then := range []time.Duration{-time.Hour, time.Hour} {
		ids, err := videos.StoredBetween(t.Context(), time.Time{}, time.Now().Add(then))
		if slices.Contains(ids, "now") != (then > 0) || err != nil {
			t.Errorf("%v from now: %v, %v", then, ids, err)
		}
	}
	ids, err := videos.StoredBetween(t.Context(), time.Now().Add(time.Minute), time.Now().Add(time.Hour))
	if len(ids) > 0 || err != nil {
		t.Errorf("stored in the future: %v, %v", ids, err)
	}
}

// brokenStore fails with err.
type brokenStore struct {
	store
	err error
}

func (s brokenStore) Open(context.Context, videoID) (*video, error) { return nil, s.err }
func (s brokenStore) Create(_ context.Context, _ videoID, _ string, body io.Reader) error {
	_, _ = io.Copy(io.Discard, body)
	return s.err
}
func (s brokenStore) Delete(context.Context, videoID) error               { return s.err }
func (s brokenStore) OpenPoster(context.Context, videoID) (*video, error) { return nil, s.err }
func (s brokenStore) SavePoster(context.Context, videoID, []byte) error   { return s.err }
func (s brokenStore) Ready(context.Context) error                         { return s.err }

func TestFailures(t *testing.T) {
	full := serveStore(t, brokenStore{err: fmt.Errorf("write: %w", &fs.PathError{Op: "write", Path: "/secret", Err: syscall.ENOSPC})})
	expect(t, 507, "POST", full+"/upload", "data", "id: x")
	expect(t, 507, "PUT", full+"/poster?id=x", jpeg)
	down := serveStore(t, brokenStore{err: fmt.Errorf("dial /secret")})
	for _, request := range []string{"GET /video", "DELETE /video", "GET /poster", "PUT /poster"} {
		method, path, _ := strings.Cut(request, " ")
		res, body := call(t, method, down+path+"?id=x", jpeg)
		if res.StatusCode != 503 || strings.Contains(body, "secret") {
			t.Errorf("%s: %d %s", request, res.StatusCode, body)
		}
	}
	expect(t, 503, "GET", down+"/readyz", "")
}

// connection is the writer of a real connection as far as ReadFrom goes.
type connection struct {
	*httptest.ResponseRecorder
	src io.Reader
}

func (c *connection) ReadFrom(src io.Reader) (int64, error) {
	c.src = src
	return io.Copy(c.ResponseRecorder, src)
}

// TestSendfile: the connection must be handed the file itself, alone or in an io.LimitedReader; that is what
// package net looks for before it uses sendfile.
func TestSendfile(t *testing.T) {
	dir, err := openDirectory(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	err = dir.Create(t.Context(), "x", "video/mp4", strings.NewReader("0123456789"))
	if err := errors.Join(err, dir.SavePoster(t.Context(), "x", []byte(jpeg))); err != nil {
		t.Fatal(err)
	}
	for _, request := range []string{"/video ", "/video 3-", "/poster "} {
		path, asked, _ := strings.Cut(request, " ")
		req := httptest.NewRequestWithContext(t.Context(), "GET", path+"?id=x", nil)
		req.Header.Set("Range", "bytes="+asked)
		w := &connection{ResponseRecorder: httptest.NewRecorder()}
		newHandler(dir, nil, slog.New(slog.DiscardHandler)).ServeHTTP(w, req)
		limited, ok := w.src.(*io.LimitedReader)
		if !ok {
			t.Fatalf("ReadFrom got a %T", w.src)
		}
		if _, ok := limited.R.(*os.File); !ok {
			t.Errorf("ReadFrom got a %T", limited.R)
		}
	}
}

// leftUnfinished lists the files of unfinished uploads.
func leftUnfinished(t *testing.T, dir *directory) []string {
	t.Helper()
	left, err := fs.Glob(os.DirFS(dir.path), unfinished+"*/*")
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(left, func(name string) bool { return strings.HasSuffix(name, "/"+lockName) })
}

func openTestDirectory(t *testing.T, path string) *directory {
	t.Helper()
	dir, err := openDirectory(path)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestUnfinished: the unfinished files of a killed process are deleted at the next start; the videos stay.
func TestUnfinished(t *testing.T) {
	path := t.TempDir()
	dir := openTestDirectory(t, path)
	if err := dir.Create(t.Context(), "kept", "video/mp4", strings.NewReader("data")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(path+"/"+unfinished+"1", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+"/"+unfinished+"1/video", []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+"/"+unfinished+"2", []byte("half a poster"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir.Close()
	dir = openTestDirectory(t, path)
	if err := dir.Create(t.Context(), "broken", "video/mp4", iotest.ErrReader(io.ErrUnexpectedEOF)); err == nil {
		t.Error("an incomplete body was stored")
	}
	if left := leftUnfinished(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	dir.Close()
	entries, err := os.ReadDir(path)
	if err != nil || len(entries) != 2 || entries[1].Name() != "kept" { // and the lock of those who begin
		t.Errorf("found %v, %v", entries, err)
	}
}

// TestSharedDirectory: a replica that starts leaves the uploads of the others alone.
func TestSharedDirectory(t *testing.T) {
	first := openTestDirectory(t, t.TempDir())
	defer first.Close()
	body, sender := io.Pipe()
	stored := make(chan error, 1)
	go func() { stored <- first.Create(t.Context(), "slow", "video/mp4", body) }()
	if _, err := io.WriteString(sender, "the first half"); err != nil {
		t.Fatal(err)
	}
	second := openTestDirectory(t, first.path)
	defer second.Close()
	if _, err := io.WriteString(sender, ", and the second"); err != nil {
		t.Fatal(err)
	}
	sender.Close()
	if err := <-stored; err != nil {
		t.Fatalf("the upload of the first replica: %v", err)
	}
	video, err := second.Open(t.Context(), "slow")
	if err != nil {
		t.Fatal(err)
	}
	defer video.Close()
	if got, err := io.ReadAll(video); string(got) != "the first half, and the second" || err != nil {
		t.Errorf("the second replica reads %q, %v", got, err)
	}
}

// TestTag: neither an upload nor a change by hand keeps the ETag of what was there before.
func TestTag(t *testing.T) {
	dir, err := openDirectory(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	seen := map[string]bool{}
	for i, day := range []int64{1, 1, 2} {
		if i < 2 {
			if err := errors.Join(dir.Delete(t.Context(), "x"),
				dir.Create(t.Context(), "x", "video/mp4", strings.NewReader("data"))); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chtimes(dir.path+"/x/video", time.Time{}, time.Unix(day*86400, 0)); err != nil {
			t.Fatal(err)
		}
		v, err := dir.Open(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		v.Close()
		seen[v.etag] = true
	}
	if len(seen) != 3 {
		t.Errorf("ETags %v, want three", seen)
	}
}

// TestRun starts the service before the blob service, because any order must work, and without a broker.
func TestRun(t *testing.T) {
	t.Run("directory", func(t *testing.T) {
		rabbit := chassistest.JetStream(t)
		base := chassistest.Start(t, run, map[string]string{"RABBIT": rabbit, "VIDEOS_DIR": t.TempDir() + "/made"})
		expect(t, 201, "POST", base+"/upload", "data", "id: x")
		expect(t, 201, "POST", base+"/upload", "data", "id: y")
		expect(t, 200, "GET", base+"/video?id=x", "")
		expect(t, 204, "PUT", base+"/poster?id=x", jpeg)
		removedByMessage(t, rabbit, base)
		expect(t, 404, "GET", base+"/poster?id=x", "")
	})
	t.Run("azure", func(t *testing.T) {
		endpoint, err := url.Parse(strings.TrimSuffix(chassistest.Azurite(t), "/"+chassistest.AzuriteAccount))
		if err != nil {
			t.Fatal(err)
		}
		up := make(chan struct{})
		proxy := httputil.NewSingleHostReverseProxy(endpoint)
		gate := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			select {
			case <-up:
				proxy.ServeHTTP(w, req)
			default:
				panic(http.ErrAbortHandler) // no answer at all
			}
		}))
		defer gate.Close()
		base := chassistest.Start(t, run, map[string]string{
			"RABBIT": "amqp://127.0.0.1:1", "STORAGE_ACCOUNT_NAME": chassistest.AzuriteAccount, "STORAGE_ACCESS_KEY": chassistest.AzuriteKey,
			"STORAGE_ENDPOINT": gate.URL + "/" + chassistest.AzuriteAccount,
		})
		expect(t, 503, "GET", base+"/readyz", "")
		expect(t, 503, "GET", base+"/video?id=x", "")
		close(up)
		await(t, 201, "POST", base+"/upload", "data", "id: x") // the container is there, though nobody asked /readyz
		expect(t, 200, "GET", base+"/video?id=x", "")
		expect(t, 200, "GET", base+"/readyz", "")
	})
}

// removedByMessage has x removed, twice, after ids that nothing can be stored under; y stays.
func removedByMessage(t *testing.T, rabbit, base string) {
	t.Helper()
	broker, err := brokers.Connect(rabbit)
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	var msgs []messaging.Message
	for _, id := range []string{"..", "../y", "none", "x", "x"} {
		msgs = append(msgs, messaging.Message{ID: rand.Text(), Body: fmt.Appendf(nil, `{"video":{"id":%q}}`, id)})
	}
	if err := broker.Publisher(contracts.VideoRemoved.Destination()).Publish(t.Context(), msgs); err != nil {
		t.Fatal(err)
	}
	await(t, 404, "GET", base+"/video?id=x", "")
	expect(t, 200, "GET", base+"/video?id=y", "")
}

// await sends a request again until it has the status.
func await(t *testing.T, want int, method, url, body string, headers ...string) {
	t.Helper()
	err := chassistest.Poll(30*time.Second, func() error {
		if res, _ := call(t, method, url, body, headers...); res.StatusCode != want {
			return fmt.Errorf("%s %s: %s", method, url, res.Status)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSample(t *testing.T) {
	sample, err := contracts.Sample("video-removed")
	if err != nil {
		t.Fatal(err)
	}
	id, err := decodeVideoRemoved(messaging.Message{Body: sample})
	if id != "f3b0a6de-8a57-4d0c-9a35-2f6c1d0e7b94" || err != nil {
		t.Errorf("%q, %v", id, err)
	}
}

func TestDecodeVideoRemoved(t *testing.T) {
	long := strings.Repeat("x", 999)
	for body, want := range map[string]string{
		`{"id":"1","removedAt":"2026-01-02T03:04:05Z","video":{"id":"x"},"more":1}`: "x",
		`{"video":{"id":"../any"}}`:       "../any",
		`{"video":{"id":"` + long + `"}}`: long,
		`{"video":{}}`:                    "", `{}`: "", `[]`: "", `x`: "", `{"video":{"id":1}}`: "",
	} {
		got, err := decodeVideoRemoved(messaging.Message{Body: []byte(body)})
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", body, got, err)
		}
	}
}

func TestReadConfig(t *testing.T) {
	const neither = "VIDEOS_DIR or STORAGE_ACCOUNT_NAME, STORAGE_ACCESS_KEY and STORAGE_ENDPOINT must be set"
	for _, test := range []struct{ vars, want string }{
		{"", "missing environment variables: PORT, RABBIT\n" + neither},
		{"PORT=1 RABBIT=r", neither},
		{"PORT=1 RABBIT=r VIDEOS_DIR=d", ""},
		{"PORT=1 RABBIT=r VIDEOS_DIR=d SWEEP_SINCE=2026-01-02T03:04:05Z", ""},
		{"PORT=1 RABBIT=r VIDEOS_DIR=d SWEEP_SINCE=yesterday", "SWEEP_SINCE must be a time such as 2006-01-02T15:04:05Z"},
		{"STORAGE_ACCESS_KEY=k", "missing environment variables: PORT, RABBIT, STORAGE_ACCOUNT_NAME, STORAGE_ENDPOINT"},
		{"PORT=1 RABBIT=r VIDEOS_DIR=d STORAGE_ACCESS_KEY=k", "VIDEOS_DIR must not be set together with STORAGE_ACCOUNT_NAME, STORAGE_ACCESS_KEY and STORAGE_ENDPOINT"},
		{"PORT=1 RABBIT=r STORAGE_ACCOUNT_NAME=a STORAGE_ACCESS_KEY=k STORAGE_ENDPOINT=http://h", ""},
		{"PORT=1 RABBIT=r STORAGE_ACCOUNT_NAME=a STORAGE_ENDPOINT=https://h", "missing environment variables: STORAGE_ACCESS_KEY"},
		{"PORT=1 RABBIT=r STORAGE_ACCOUNT_NAME=a STORAGE_ENDPOINT=https://h AZURE_FEDERATED_TOKEN_FILE=f", ""},
		{"PORT=1 RABBIT=r STORAGE_ACCOUNT_NAME=a STORAGE_ACCESS_KEY=k STORAGE_ENDPOINT=h", "STORAGE_ENDPOINT must be an http or https URL"},
	} {
		vars := map[string]string{}
		for _, assignment := range strings.Fields(test.vars) {
			name, value, _ := strings.Cut(assignment, "=")
			vars[name] = value
		}
		got := ""
		if _, err := readConfig(chassistest.Env(vars)); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%q: %q, want %q", test.vars, got, test.want)
		}
	}
}

func TestWrongBroker(t *testing.T) {
	chassistest.RejectsBroker(t, run, map[string]string{"VIDEOS_DIR": t.TempDir()})
}
