package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/process"
	"flixtube/chassis/web"
	"flixtube/contracts/limits"
	"flixtube/video-upload/internal/spool"
	"flixtube/video-upload/internal/video"
)

// client speaks the protocol for one viewer.
type client struct {
	*testing.T
	address, viewer string
}

type answered struct {
	*http.Response
	body string
}

// ask sends a request. headers are "Name: value".
func (c client) ask(method, path string, body io.Reader, headers ...string) answered {
	c.Helper()
	req, err := http.NewRequestWithContext(c.Context(), method, c.address+path, body)
	if err != nil {
		c.Fatal(err)
	}
	req.Header.Set("Tus-Resumable", "1.0.0")
	if c.viewer != "" {
		req.Header.Set(web.ViewerHeader, c.viewer)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		c.Fatal(err)
	}
	var failure struct{ Error, Code string }
	if _ = json.Unmarshal(text, &failure); res.StatusCode >= 400 && method != http.MethodHead && (failure.Error == "" || failure.Code == "") {
		c.Errorf("%s %s: %s with %q", method, path, res.Status, text)
	}
	return answered{res, string(text)}
}

func (c client) expect(status int, a answered) answered {
	c.Helper()
	if a.StatusCode != status {
		c.Fatalf("%s %s: %d %s, want %d", a.Request.Method, a.Request.URL.Path, a.StatusCode, a.body, status)
	}
	return a
}

// metadata makes the header of keys and values.
func metadata(pairs ...string) string {
	var list []string
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, pairs[i]+" "+base64.StdEncoding.EncodeToString([]byte(pairs[i+1])))
	}
	return "Upload-Metadata: " + strings.Join(list, ",")
}

// create creates an upload of size bytes and returns its path.
func (c client) create(size int, pairs ...string) string {
	c.Helper()
	if len(pairs) == 0 {
		pairs = []string{"filename", "a.mp4"}
	}
	res := c.expect(201, c.ask("POST", "/uploads", nil, "Upload-Length: "+strconv.Itoa(size), metadata(pairs...)))
	path := res.Header.Get("Location")
	if id, ok := strings.CutPrefix(path, "/uploads/"); !ok || !spool.IsID(id) {
		c.Fatalf("Location: %q", path)
	}
	return path
}

const chunkType = "Content-Type: application/offset+octet-stream"

func (c client) patch(path string, offset int, body io.Reader) answered {
	c.Helper()
	return c.ask("PATCH", path, body, chunkType, "Upload-Offset: "+strconv.Itoa(offset))
}

// offset returns the Upload-Offset that HEAD answers.
func (c client) offset(path string) int {
	c.Helper()
	n, err := strconv.Atoi(c.expect(200, c.ask("HEAD", path, nil)).Header.Get("Upload-Offset"))
	if err != nil {
		c.Fatal(err)
	}
	return n
}

// send sends the headers and a first part of a PATCH by hand.
func (c client) send(path string, offset int, sent []byte, length int) *net.TCPConn {
	c.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.address, "http://"))
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: x\r\n%s: %s\r\nTus-Resumable: 1.0.0\r\n%s\r\nUpload-Offset: %d\r\nContent-Length: %d\r\n\r\n%s",
		path, web.ViewerHeader, c.viewer, chunkType, offset, length, sent)
	return conn.(*net.TCPConn)
}

// begin sends, and waits until the bytes have arrived.
func (c client) begin(u *testService, path string, offset int, sent []byte, length int) *net.TCPConn {
	c.Helper()
	conn := c.send(path, offset, sent, length)
	eventually(c.T, "the first part arrives", func() bool {
		up, err := u.spool.Find(filepath.Base(path))
		return err == nil && up.Offset == int64(offset+len(sent))
	})
	return conn
}

// newTestClient serves the real handler over a spool, the fake storage and the fake outbox.
func newTestClient(t *testing.T, limit int64) (client, *testService, *fakeStorage, *fakeOutbox) {
	t.Helper()
	storage, box := newFakeStorage(t), &fakeOutbox{}
	u := newTestUploads(t, t.TempDir(), storage.URL, box, limit)
	return serve(t, u), u, storage, box
}

func serve(t *testing.T, u *testService) client {
	t.Helper()
	server := httptest.NewServer(u.handler())
	t.Cleanup(server.Close)
	return client{t, server.URL, "ann"}
}

// serveAsProcess is serve with the deadlines that a process has for bodies.
func serveAsProcess(t *testing.T, h http.Handler) client {
	t.Helper()
	address := chassistest.Start(t, func(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
		addr := net.JoinHostPort(getenv("HOST"), getenv("PORT"))
		return process.Service{Addr: addr, Handler: h, Log: process.NewLogger(stdout, slog.LevelInfo)}.Run(ctx)
	}, nil)
	return client{t, address, "ann"}
}

// names lists the files of the spool, without those of locks.
func names(t *testing.T, u *testService) []string {
	t.Helper()
	entries, err := os.ReadDir(u.dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, entry := range entries {
		if ext := filepath.Ext(entry.Name()); ext != lockPart && ext != wantedPart {
			list = append(list, entry.Name())
		}
	}
	return list
}

// announcement is the message as a consumer reads it.
type announcement struct {
	ID         string
	UploadedAt time.Time
	Owner      struct{ ID string }
	Video      video.Video
}

func announced(t *testing.T, box *fakeOutbox) (facts []announcement) {
	t.Helper()
	for _, m := range box.added() {
		var u announcement
		if err := json.Unmarshal(m.Body, &u); err != nil || u.ID != m.ID {
			t.Fatalf("announced %s under %s: %v", m.Body, m.ID, err)
		}
		facts = append(facts, u)
	}
	return facts
}

func TestResumable(t *testing.T) {
	const limit = 1 << 20
	ann, u, storage, box := newTestClient(t, limit)
	can := ann.expect(200, ann.ask("OPTIONS", "/uploads", nil)).Header
	for name, want := range map[string]string{
		"Tus-Version": "1.0.0", "Tus-Max-Size": strconv.Itoa(limit), "Tus-Extension": "creation,creation-with-upload,termination",
	} {
		if can.Get(name) != want {
			t.Errorf("%s: %q", name, can.Get(name))
		}
	}
	file := mp4(100_000)
	meta := []string{"filename", `C:\Fotos\Urlaub über alles.MP4`, "duration", "63.2"}
	path := ann.create(len(file), append(meta, "owner", "bob", "fact", "mine")...)
	told := ann.expect(200, ann.ask("HEAD", path, nil, "Origin: http://elsewhere")).Header
	known := map[string]bool{}
	for _, pair := range strings.Split(told.Get("Upload-Metadata"), ",") {
		known[pair] = true
	}
	_, want, _ := strings.Cut(metadata(meta...), ": ")
	first, second, _ := strings.Cut(want, ",")
	if told.Get("Upload-Offset") != "0" || told.Get("Upload-Length") != "100000" || !maps.Equal(known, map[string]bool{first: true, second: true}) ||
		told.Get("Cache-Control") != "no-store" || told.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("HEAD: %v", told)
	}
	ann.expect(405, ann.ask("GET", path, nil))

	if n := ann.expect(204, ann.patch(path, 0, bytes.NewReader(file[:60_000]))).Header.Get("Upload-Offset"); n != "60000" {
		t.Errorf("Upload-Offset %q", n)
	}
	ann.expect(409, ann.patch(path, 0, bytes.NewReader(file)))
	ann.expect(413, ann.patch(path, 60_000, bytes.NewReader(file[:50_000])))
	ann.expect(204, ann.ask("PUT", path+"/poster", bytes.NewReader(jpegOf(t, 320, 200))))
	if uploads, _ := storage.seen(); len(uploads) != 0 || len(box.added()) != 0 {
		t.Fatal("stored before it is whole")
	}
	ann.expect(204, ann.patch(path, 60_000, chunked(bytes.NewReader(file[60_000:]))))

	id := filepath.Base(path)
	uploads, deleted := storage.seen()
	if len(uploads) != 1 || uploads[0].id != id || uploads[0].length != 100_000 || !bytes.Equal(uploads[0].body, file) ||
		uploads[0].contentType != "video/mp4" || len(deleted) != 0 {
		t.Errorf("stored %d times, deleted %v", len(uploads), deleted)
	}
	if !bytes.HasPrefix(storage.posters[id], []byte("\xff\xd8\xff")) {
		t.Errorf("the poster is %.10q", storage.posters[id])
	}
	facts := announced(t, box)
	wanted := video.Video{ID: id, Name: "Urlaub über alles", ContentType: "video/mp4", Size: 100_000, Duration: 63.2, Poster: true}
	if len(facts) != 1 || facts[0].Video != wanted || facts[0].Owner.ID != "ann" || time.Since(facts[0].UploadedAt).Abs() > time.Hour ||
		uuid.Validate(facts[0].ID) != nil || facts[0].ID == id {
		t.Errorf("announced %+v", facts)
	}
	if left := names(t, u); !slices.Equal(left, []string{id + donePart, id + infoPart}) || size(t, u.path(id, donePart)) != 0 {
		t.Errorf("left: %v", left)
	}

	// A client that missed the last response asks, and sees that the upload is finished.
	if n := ann.offset(path); n != len(file) {
		t.Errorf("offset %d", n)
	}
	ann.expect(204, ann.patch(path, len(file), http.NoBody))
	ann.expect(409, ann.ask("PUT", path+"/poster", bytes.NewReader(jpegOf(t, 320, 200))))
	ann.expect(409, ann.ask("DELETE", path, nil))
	u.scan(t)
	if n := ann.offset(path); n != len(file) || len(box.added()) != 1 {
		t.Errorf("after a scan: offset %d, announced %d times", n, len(box.added()))
	}
}

// TestWithoutExtras: the message has no fields for facts that are not known.
func TestWithoutExtras(t *testing.T) {
	ann, _, _, box := newTestClient(t, 1<<20)
	ann.expect(201, ann.ask("POST", "/uploads", bytes.NewReader(mp4(5000)), chunkType, "Upload-Length: 5000", metadata("filename", "a.mp4")))
	if added := box.added(); len(added) != 1 || strings.Contains(string(added[0].Body), "duration") || strings.Contains(string(added[0].Body), "poster") {
		t.Errorf("announced %v", announced(t, box))
	}
}

func TestCreationRejected(t *testing.T) {
	ann, u, _, _ := newTestClient(t, 1000)
	for what, test := range map[string]struct {
		want    int
		headers []string
	}{
		"no viewer":         {400, []string{web.ViewerHeader + ": <ann>"}},
		"no name":           {400, []string{metadata("duration", "1")}},
		"a name not UTF-8":  {400, []string{metadata("filename", "\xff.mp4")}},
		"the folder above":  {400, []string{metadata("filename", "../..")}},
		"no base64":         {400, []string{"Upload-Metadata: filename %%%"}},
		"a very long name":  {400, []string{metadata("filename", strings.Repeat("a", limits.FileName+1))}},
		"a time in words":   {400, []string{metadata("filename", "a.mp4", "duration", "long")}},
		"no time at all":    {400, []string{metadata("filename", "a.mp4", "duration", "0")}},
		"not a number":      {400, []string{metadata("filename", "a.mp4", "duration", "NaN")}},
		"for ever":          {400, []string{metadata("filename", "a.mp4", "duration", "Inf")}},
		"half a year":       {400, []string{metadata("filename", "a.mp4", "duration", "10000001")}},
		"empty":             {400, []string{"Upload-Length: 0"}},
		"no length":         {400, []string{"Upload-Length: "}},
		"a negative length": {400, []string{"Upload-Length: -1"}},
		"too large":         {413, []string{"Upload-Length: 1001"}},
		"length to come":    {501, []string{"Upload-Defer-Length: 1", "Upload-Length: "}},
		"a part":            {501, []string{"Upload-Concat: partial"}},
		"another version":   {412, []string{"Tus-Resumable: 0.2.2"}},
	} {
		headers := append([]string{"Upload-Length: 1000", metadata("filename", "a.mp4")}, test.headers...)
		if res := ann.ask("POST", "/uploads", nil, headers...); res.StatusCode != test.want {
			t.Errorf("%s: %d %s, want %d", what, res.StatusCode, res.body, test.want)
		}
	}
	if left := names(t, u); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestOtherViewers(t *testing.T) {
	ann, u, _, _ := newTestClient(t, 1<<20)
	path := ann.create(5000)
	conn := ann.begin(u, path, 0, mp4(4000), 5000)
	id := filepath.Base(path)
	for _, other := range []string{"bob", ""} {
		bob := client{t, ann.address, other}
		for _, p := range []string{
			path, "/uploads/" + uuid.NewString(), "/uploads/" + strings.ToUpper(id), "/uploads/" + id + ".info",
			"/uploads/..%2F" + id, "/uploads/%2e%2e", "/uploads/{" + id + "}", "/uploads/" + strings.ReplaceAll(id, "-", ""),
		} {
			bob.expect(404, bob.ask("HEAD", p, nil))
			bob.expect(404, bob.patch(p, 4000, bytes.NewReader(mp4(1000))))
			bob.expect(404, bob.ask("DELETE", p, nil))
			bob.expect(404, bob.ask("PUT", p+"/poster", bytes.NewReader(jpegOf(t, 10, 10))))
		}
	}
	// None of that has disturbed the PATCH in progress.
	if _, err := conn.Write(bytes.Repeat([]byte{7}, 1000)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 12)
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "HTTP/1.1 204" {
		t.Errorf("answered %q, %v", answer, err)
	}
}

func TestDelete(t *testing.T) {
	ann, u, _, box := newTestClient(t, 1<<20)
	path := ann.create(5000)
	ann.expect(204, ann.patch(path, 0, bytes.NewReader(mp4(4000))))
	ann.expect(204, ann.ask("PUT", path+"/poster", bytes.NewReader(jpegOf(t, 10, 10))))
	ann.expect(204, ann.ask("DELETE", path, nil))
	ann.expect(404, ann.ask("HEAD", path, nil))
	ann.expect(404, ann.patch(path, 4000, bytes.NewReader(mp4(1000))))
	if left, err := os.ReadDir(u.dir); len(left) != 0 || err != nil || len(box.added()) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestDeleteTooLate: the last bytes arrive while DELETE waits for the lock.
func TestDeleteTooLate(t *testing.T) {
	ann, u, _, _ := newTestClient(t, 1<<20)
	path := ann.create(5000)
	id := filepath.Base(path)
	lock := u.spool.Lock(id)
	if held, err := lock.TryLock(); err != nil || !held {
		t.Fatal(held, err)
	}
	ended := make(chan answered)
	go func() { ended <- ann.ask("DELETE", path, nil) }()
	eventually(t, "DELETE waits", func() bool { _, err := os.Stat(u.path(id, wantedPart)); return err == nil })
	if err := errors.Join(os.WriteFile(u.path(id, ""), mp4(5000), 0o600), lock.Unlock()); err != nil {
		t.Fatal(err)
	}
	ann.expect(409, <-ended)
	if n := ann.offset(path); n != 5000 {
		t.Errorf("offset %d", n)
	}
}

// TestSlowStorage: the last PATCH waits longer for the storage than for a client's bytes, and that does not harm the
// requests after it.
func TestSlowStorage(t *testing.T) {
	t.Parallel()
	storage, box := newFakeStorage(t), &fakeOutbox{}
	u := newTestUploads(t, t.TempDir(), storage.URL, box, 1<<20, timeouts{storage: time.Minute, client: time.Second})
	var last atomic.Pointer[context.Context] // of a request
	h := u.handler()
	ann := serveAsProcess(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		ctx := req.Context()
		last.Store(&ctx)
		h.ServeHTTP(w, req)
		if ctx.Err() != nil {
			t.Errorf("%s: %v", req.Method, ctx.Err())
		}
	}))
	storage.answer = func(w http.ResponseWriter) {
		select {
		case <-(*last.Load()).Done():
		case <-time.After(3 * time.Second):
		}
		w.WriteHeader(http.StatusCreated)
	}
	path := ann.create(5000)
	ann.expect(204, ann.patch(path, 0, bytes.NewReader(mp4(5000))))
	if n := ann.offset(path); n != 5000 || len(box.added()) != 1 {
		t.Errorf("offset %d, announced %d times", n, len(box.added()))
	}
}

// TestStalledPatch: a client that stops sending is answered soon, and can go on where it stopped.
func TestStalledPatch(t *testing.T) {
	t.Parallel()
	storage, box := newFakeStorage(t), &fakeOutbox{}
	u := newTestUploads(t, t.TempDir(), storage.URL, box, 1<<20, timeouts{storage: time.Minute, client: time.Second})
	ann := serveAsProcess(t, u.handler())
	path := ann.create(5000)
	conn := ann.send(path, 0, mp4(4000), 5000)
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	answer, _ := io.ReadAll(conn)
	if !strings.HasPrefix(string(answer), "HTTP/1.1 408 ") || !strings.Contains(string(answer), `"code":"body_timeout"`) {
		t.Errorf("answered %q", answer)
	}
	if n := ann.offset(path); n != 4000 {
		t.Errorf("offset %d", n)
	}
	ann.expect(204, ann.patch(path, 4000, bytes.NewReader(make([]byte, 1000))))
}

// TestSpoolIsBounded: a client that rejects cookies is another viewer each time.
func TestSpoolIsBounded(t *testing.T) {
	const (
		limit      = 20 << 20
		checkEvery = 16 << 20
		maxOpenAll = 1000
	)
	ann, u, _, _ := newTestClient(t, limit)
	create := func() answered {
		return ann.ask("POST", "/uploads", nil, "Upload-Length: 5000", metadata("filename", "a.mp4"))
	}
	path := ann.create(limit)
	others := u.path(uuid.NewString(), "")
	hold := func(size int64) {
		if err := errors.Join(os.WriteFile(others, nil, 0o600), os.Truncate(others, size)); err != nil {
			t.Fatal(err)
		}
	}
	hold(9 * limit)
	ann.expect(503, create())
	conn := ann.begin(u, path, 0, mp4(100_000), limit) // but those that are begun go on
	hold(16 * limit)
	if _, err := conn.Write(make([]byte, checkEvery)); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	answer := make([]byte, 12)
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "HTTP/1.1 507" || ann.offset(path) != checkEvery {
		t.Errorf("answered %q, %v, offset %d", answer, err, ann.offset(path))
	}
	hold(0)
	ann.expect(204, ann.patch(path, checkEvery, bytes.NewReader(make([]byte, limit-checkEvery))))
	for range maxOpenAll {
		if err := os.WriteFile(u.path(uuid.NewString(), ""), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ann.expect(503, create())
}

func TestOpenUploadsAreBounded(t *testing.T) {
	ann, _, _, _ := newTestClient(t, 1<<20)
	var last string
	for range spool.MaxOpen {
		last = ann.create(5000)
	}
	again := func() answered {
		return ann.ask("POST", "/uploads", nil, "Upload-Length: 5000", metadata("filename", "a.mp4"))
	}
	ann.expect(429, again())
	client{t, ann.address, "bob"}.create(5000)
	ann.expect(204, ann.patch(last, 0, bytes.NewReader(mp4(5000)))) // a finished one does not count
	ann.expect(201, again())
}

// TestOneAddressKeepsNobodyOut: a client without cookies is another viewer each time.
func TestOneAddressKeepsNobodyOut(t *testing.T) {
	ann, u, _, _ := newTestClient(t, 1<<20)
	flood := func(viewer, address string) answered {
		return client{t, ann.address, viewer}.ask("POST", "/uploads", nil,
			"Upload-Length: 5000", metadata("filename", "a.mp4"), web.ClientHeader+": "+address)
	}
	statuses := map[int]int{}
	for i := range 150 {
		res := flood(fmt.Sprint("viewer", i), fmt.Sprintf("2001:db8::%x", i)) // one network
		statuses[res.StatusCode]++
		if res.StatusCode == http.StatusTooManyRequests && res.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	if statuses[201] != 100 || statuses[429] != 50 {
		t.Errorf("statuses %v", statuses)
	}
	ann.expect(201, flood("bob", "2001:db8:0:1::1"))
	path := ann.create(5000)
	if told := ann.expect(200, ann.ask("HEAD", path, nil)).Header.Get("Upload-Metadata"); strings.Contains(told, "address") {
		t.Errorf("HEAD: %s", told)
	}
	then := time.Now().Add(-11 * time.Minute)
	for _, name := range names(t, u) {
		if spool.IsID(name) {
			if err := os.Chtimes(filepath.Join(u.dir, name), then, then); err != nil {
				t.Fatal(err)
			}
		}
	}
	u.scan(t)
	if left := names(t, u); len(left) != 0 {
		t.Errorf("%d files are left of uploads without a byte", len(left))
	}
}

func TestNoVideo(t *testing.T) {
	page := "<!doctype html><script>alert(1)</script>" + strings.Repeat(" ", 2*video.HeadSize)
	for what, pieces := range map[string][]string{
		"at once":              {page},
		"its first bytes":      {page[:video.HeadSize]},
		"in pieces":            {page[:10], page[10:video.HeadSize], page[video.HeadSize:]},
		"all of a short one":   {page[:20]},
		"short, and in pieces": {page[:10], page[10:20]},
	} {
		t.Run(what, func(t *testing.T) {
			ann, u, storage, box := newTestClient(t, 1<<20)
			size := len(page)
			if strings.Contains(what, "short") {
				size = 20
			}
			path, sent := ann.create(size), 0
			for {
				res := ann.patch(path, sent, strings.NewReader(pieces[0]))
				sent += len(pieces[0])
				if sent >= min(size, video.HeadSize) {
					ann.expect(415, res)
					break
				}
				ann.expect(204, res)
				pieces = pieces[1:]
			}
			ann.expect(404, ann.ask("HEAD", path, nil))
			if uploads, _ := storage.seen(); len(names(t, u)) != 0 || len(uploads) != 0 || len(box.added()) != 0 {
				t.Errorf("left: %v", names(t, u))
			}
		})
	}
	t.Run("before the rest is sent", func(t *testing.T) {
		ann, u, _, _ := newTestClient(t, 1<<20)
		path := ann.create(1 << 20)
		conn := ann.send(path, 0, []byte(page[:video.HeadSize]), 1<<20)
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		answer := make([]byte, 12)
		if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "HTTP/1.1 415" || len(names(t, u)) != 0 {
			t.Errorf("answered %q, %v, left: %v", answer, err, names(t, u))
		}
	})
	t.Run("with its creation", func(t *testing.T) {
		ann, u, _, _ := newTestClient(t, 1<<20)
		ann.expect(415, ann.ask("POST", "/uploads", strings.NewReader(page), chunkType,
			"Upload-Length: "+strconv.Itoa(len(page)), metadata("filename", "a.mp4")))
		if len(names(t, u)) != 0 {
			t.Errorf("left: %v", names(t, u))
		}
	})
	t.Run("seen at the end", func(t *testing.T) {
		ann, u, storage, box := newTestClient(t, 1<<20)
		path := ann.create(5000)
		if err := os.WriteFile(u.path(filepath.Base(path), ""), []byte(page[:4000]), 0o600); err != nil {
			t.Fatal(err)
		}
		ann.expect(415, ann.patch(path, 4000, strings.NewReader(page[4000:5000])))
		ann.expect(404, ann.ask("HEAD", path, nil))
		if uploads, _ := storage.seen(); len(names(t, u)) != 0 || len(uploads) != 0 || len(box.added()) != 0 {
			t.Errorf("left: %v", names(t, u))
		}
	})
}

// TestInSmallPieces: the type shows only after several pieces.
func TestInSmallPieces(t *testing.T) {
	ann, _, storage, _ := newTestClient(t, 1<<20)
	file := append([]byte(webmHead), bytes.Repeat([]byte{9}, 4000)...)
	path := ann.create(len(file))
	for at := 0; at < len(file); at += 500 {
		ann.expect(204, ann.patch(path, at, bytes.NewReader(file[at:min(at+500, len(file))])))
	}
	if uploads, _ := storage.seen(); len(uploads) != 1 || !bytes.Equal(uploads[0].body, file) || uploads[0].contentType != "video/webm" {
		t.Errorf("stored %d", len(uploads))
	}
}

// TestResumed: a connection breaks, or only its client thinks so, and the upload continues at once, at another replica
// as well.
func TestResumed(t *testing.T) {
	const size = 200_000
	for what, end := range map[string]func(*net.TCPConn){
		"closed": func(c *net.TCPConn) { c.Close() },
		"reset":  func(c *net.TCPConn) { _ = c.SetLinger(0); c.Close() },
		"silent": func(*net.TCPConn) {},
	} {
		for _, replicas := range []int{1, 2} {
			t.Run(fmt.Sprint(what, " ", replicas), func(t *testing.T) {
				ann, u, storage, box := newTestClient(t, size)
				there := ann
				if replicas == 2 {
					there = serve(t, newTestUploads(t, u.dir, storage.URL, box, size))
				}
				path := ann.create(size)
				end(ann.begin(u, path, 0, mp4(size)[:120_000], size))
				began := time.Now()
				if n := there.offset(path); n != 120_000 {
					t.Errorf("offset %d", n)
				}
				end(there.begin(u, path, 120_000, mp4(size)[120_000:160_000], 80_000))
				ann.expect(204, ann.patch(path, 160_000, bytes.NewReader(mp4(size)[160_000:])))
				if took := time.Since(began); took > 3*time.Second {
					t.Errorf("took %v", took)
				}
				if uploads, _ := storage.seen(); len(uploads) != 1 || !bytes.Equal(uploads[0].body, mp4(size)) || len(box.added()) != 1 {
					t.Errorf("stored %d times, announced %d times", len(uploads), len(box.added()))
				}
			})
		}
	}
}

// TestLocked: while another request keeps the lock PATCH answers 423, unless the upload is complete.
func TestLocked(t *testing.T) {
	t.Parallel()
	ann, u, storage, _ := newTestClient(t, 1<<20)
	path := ann.create(5000)
	lock := u.spool.Lock(filepath.Base(path))
	take := func() {
		if held, err := lock.TryLock(); err != nil || !held {
			t.Fatal(held, err)
		}
	}
	take()
	ann.expect(423, ann.patch(path, 0, bytes.NewReader(mp4(5000))))
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	storage.answers(answering(503), nil)
	ann.expect(204, ann.patch(path, 0, bytes.NewReader(mp4(5000))))
	take() // as the worker does while it sends it to the storage
	if n := ann.offset(path); n != 5000 {
		t.Errorf("offset %d", n)
	}
	ann.expect(204, ann.patch(path, 5000, http.NoBody))
}

// TestErrorCodes: a client can tell the errors apart, those of tusd as well.
func TestErrorCodes(t *testing.T) {
	const limit = 100_000
	ann, _, _, _ := newTestClient(t, limit)
	path, complete := ann.create(5000), ann.create(5000)
	ann.expect(204, ann.patch(complete, 0, bytes.NewReader(mp4(5000))))
	create := func(length int, name string) answered {
		return ann.ask("POST", "/uploads", nil, "Upload-Length: "+strconv.Itoa(length), metadata("filename", name))
	}
	for want, answer := range map[string]answered{
		`"code":"video_too_large","args":{"max":100000}`:                            create(limit+1, "a.mp4"),
		`"code":"file_name_too_long","args":{"max":1000}`:                           create(5000, strings.Repeat("a", 1001)),
		`"code":"invalid_tus_request","args":{"reason":"ERR_MISMATCHED_OFFSET"}`:    ann.patch(path, 1, bytes.NewReader(mp4(1000))),
		`"code":"invalid_tus_request","args":{"reason":"ERR_INVALID_CONTENT_TYPE"}`: ann.ask("PATCH", path, nil, "Upload-Offset: 0"),
		`"code":"invalid_tus_request","args":{"reason":"ERR_UPLOAD_SIZE_EXCEEDED"}`: ann.patch(path, 0, bytes.NewReader(mp4(5001))),
		`"code":"already_uploaded"`:                                                 ann.ask("DELETE", complete, nil),
		`"code":"upload_not_found"`:                                                 ann.ask("DELETE", "/uploads/none", nil),
		`"code":"not_playable"`:                                                     ann.patch(path, 0, strings.NewReader(strings.Repeat("x", 5000))),
	} {
		if !strings.Contains(answer.body, want) || answer.Header.Get("X-Request-Id") == "" {
			t.Errorf("%s %s, want %s", answer.Status, answer.body, want)
		}
	}
}

func TestDiskFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		chassistest.Missing(t, "/dev/full")
	}
	ann, u, _, _ := newTestClient(t, 1<<20)
	path := ann.create(5000)
	data := u.path(filepath.Base(path), "")
	if err := errors.Join(os.Remove(data), os.Symlink("/dev/full", data)); err != nil {
		t.Fatal(err)
	}
	if res := ann.expect(507, ann.patch(path, 0, bytes.NewReader(mp4(4000)))); strings.Contains(res.body, "/") {
		t.Errorf("answered %s", res.body)
	}
	if err := errors.Join(os.Remove(data), os.WriteFile(data, mp4(5000)[:1000], 0o600)); err != nil {
		t.Fatal(err)
	}
	ann.expect(204, ann.patch(path, 1000, bytes.NewReader(mp4(5000)[1000:])))
}

// TestInternalsStayInside: an unexpected error is not shown.
func TestInternalsStayInside(t *testing.T) {
	ann, u, _, _ := newTestClient(t, 1<<20)
	path := ann.create(500_000)
	data := u.path(filepath.Base(path), "")
	if err := errors.Join(os.Remove(data), os.Mkdir(data, 0o700)); err != nil {
		t.Fatal(err)
	}
	if res := ann.expect(500, ann.patch(path, ann.offset(path), bytes.NewReader(mp4(1000)))); !strings.Contains(res.body, `"internal error"`) {
		t.Errorf("answered %s", res.body)
	}
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	stat, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return stat.Size()
}

// TestMemory: a large upload is never held in memory.
func TestMemory(t *testing.T) {
	const size = 300 << 20
	ann, _, storage, box := newTestClient(t, size)
	storage.discards = true
	var most atomic.Uint64
	look := func() {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		most.Store(max(most.Load(), m.HeapInuse))
	}
	look()
	before := most.Load()
	path := ann.create(size)
	ann.expect(204, ann.patch(path, 0, io.MultiReader(strings.NewReader(mp4Head), &watched{left: size - len(mp4Head), look: look})))
	look()
	if grown := most.Load() - before; grown > 32<<20 {
		t.Errorf("grown by %d MiB", grown>>20)
	}
	if storage.got.Load() != size || len(box.added()) != 1 {
		t.Errorf("stored %d bytes, announced %d times", storage.got.Load(), len(box.added()))
	}
}

// watched is a body of left bytes, which calls look now and then.
type watched struct {
	left, read int
	look       func()
}

func (w *watched) Read(p []byte) (int, error) {
	n := min(len(p), w.left)
	if n == 0 {
		return 0, io.EOF
	}
	w.left -= n
	if w.read += n; w.read > 10<<20 {
		w.read = 0
		w.look()
	}
	return n, nil
}

func TestWrongBroker(t *testing.T) {
	chassistest.RejectsBroker(t, run, map[string]string{"OUTBOX_DIR": t.TempDir()})
}
