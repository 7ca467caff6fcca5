package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/messaging"
	"flixtube/chassis/messaging/brokers"
	"flixtube/chassis/outbox"
	"flixtube/chassis/web"
	"flixtube/contracts"
	"flixtube/video-upload/internal/publisher"
	"flixtube/video-upload/internal/spool"
	"flixtube/video-upload/internal/storage"
	"flixtube/video-upload/internal/video"
)

const (
	ftyp     = "\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"
	mp4Head  = ftyp + "\x00\x00\x00\x08moov" + "\x00\x00\x00\x00mdat"
	webmHead = "\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm"
)

// mp4 is a file of so many bytes with the boxes of a video: its index, which is empty, and data to the end of the file.
func mp4(size int) []byte {
	return append([]byte(mp4Head), bytes.Repeat([]byte{7}, size-len(mp4Head))...)
}

// received is one upload as the fake storage saw it.
type received struct {
	id, contentType string
	length          int64 // as the header said
	body            []byte
	err             error
}

// fakeStorage reads uploads as the storage does.
type fakeStorage struct {
	*httptest.Server
	answer   func(w http.ResponseWriter) // after the body; nil: 201, and it is stored
	deaf     int                         // answer with this status instead of reading
	got      atomic.Int64                // bytes so far
	discards bool                        // what it has read
	poster   func(w http.ResponseWriter) // instead of taking it
	mu       sync.Mutex
	uploads  []received
	deleted  []string
	posters  map[string][]byte
	stored   map[string]int64 // sizes
}

// answers changes how the fake answers. Requests may be in progress.
func (f *fakeStorage) answers(upload, poster func(http.ResponseWriter)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer, f.poster = upload, poster
}

func newFakeStorage(t *testing.T) *fakeStorage {
	t.Helper()
	f := &fakeStorage{posters: map[string][]byte{}, stored: map[string]int64{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{}`) })
	mux.HandleFunc("POST /upload", f.upload)
	mux.HandleFunc("DELETE /video", func(w http.ResponseWriter, req *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.deleted = append(f.deleted, req.URL.Query().Get("id"))
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("HEAD /video", func(w http.ResponseWriter, req *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		size, found := f.stored[req.URL.Query().Get("id")]
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		if !found {
			w.WriteHeader(http.StatusNotFound)
		}
	})
	stored := func(find func(id string) []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			f.mu.Lock()
			content := find(req.URL.Query().Get("id"))
			f.mu.Unlock()
			http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(content))
		}
	}
	mux.HandleFunc("GET /poster", stored(func(id string) []byte { return f.posters[id] }))
	mux.HandleFunc("GET /video", stored(func(id string) []byte {
		for _, upload := range f.uploads {
			if upload.id == id {
				return upload.body
			}
		}
		return nil
	}))
	mux.HandleFunc("PUT /poster", func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		f.mu.Lock()
		instead := f.poster
		f.mu.Unlock()
		if instead != nil {
			instead(w)
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.posters[req.URL.Query().Get("id")] = body
		w.WriteHeader(http.StatusNoContent)
	})
	f.Server = httptest.NewServer(mux)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeStorage) upload(w http.ResponseWriter, req *http.Request) {
	r := received{id: req.Header.Get("id"), contentType: req.Header.Get("Content-Type"), length: req.ContentLength}
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.uploads = append(f.uploads, r)
	}()
	if f.deaf != 0 {
		w.WriteHeader(f.deaf)
		return
	}
	p := make([]byte, 32<<10)
	for r.err == nil {
		var n int
		n, r.err = req.Body.Read(p)
		if !f.discards {
			r.body = append(r.body, p[:n]...)
		}
		f.got.Add(int64(n))
	}
	if !errors.Is(r.err, io.EOF) {
		return
	}
	r.err = nil
	f.mu.Lock()
	instead := f.answer
	if instead == nil {
		f.stored[r.id] = r.length
	}
	f.mu.Unlock()
	if instead != nil {
		instead(w)
		return
	}
	w.WriteHeader(http.StatusCreated)
}

func (f *fakeStorage) seen() (uploads []received, deleted []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.uploads), slices.Clone(f.deleted)
}

// fakeOutbox keeps messages, or rejects them.
type fakeOutbox struct {
	reject error
	mu     sync.Mutex
	facts  []messaging.Message
}

func (f *fakeOutbox) Add(ctx context.Context, m messaging.Message) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if f.reject == nil {
		f.facts = append(f.facts, m)
	}
	return f.reject
}

func (f *fakeOutbox) added() []messaging.Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.facts)
}

func newTestHandler(t *testing.T, limit int64) (http.Handler, *fakeStorage, *fakeOutbox) {
	t.Helper()
	storage, box := newFakeStorage(t), &fakeOutbox{}
	return chassistest.Documented(t, newTestUploads(t, t.TempDir(), storage.URL, box, limit).handler()), storage, box
}

// testService is the service with its spool and its storage in reach.
type testService struct {
	*service
	dir     string   // of the spool
	storage *url.URL // may be changed between requests
}

// The names of a spool's files, which replicas of another version may share.
const (
	donePart   = ".done"
	infoPart   = ".info"
	posterPart = ".jpg"
	lockPart   = ".lock"
	wantedPart = ".wanted"
)

func (s *testService) path(id, part string) string { return filepath.Join(s.dir, id+part) }

// scan has the publisher look at all uploads once.
func (s *testService) scan(t *testing.T) {
	t.Helper()
	if err := s.publisher.Scan(t.Context()); err != nil {
		t.Log(err)
	}
}

// timeouts are those of a test's storage and client.
type timeouts struct{ storage, client time.Duration }

func newTestUploads(t *testing.T, dir, address string, box publisher.Outbox, limit int64, limits ...timeouts) *testService {
	t.Helper()
	base, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	wait := append(limits, timeouts{time.Minute, time.Minute})[0]
	uploads, err := spool.Open(dir, limit)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newService(uploads, storage.New(base, wait.storage), box, limit, wait.client, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return &testService{s, dir, base}
}

// newTestService serves the real handler over the fakes, and ends before them.
func newTestService(t *testing.T, limit int64) (string, *fakeStorage, *fakeOutbox) {
	t.Helper()
	h, storage, box := newTestHandler(t, limit)
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL, storage, box
}

// chunked hides how long a body is.
func chunked(body io.Reader) io.Reader { return struct{ io.Reader }{body} }

func post(t *testing.T, address, fileName string, body io.Reader) (int, video.Video) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address+"/upload", body)
	if err != nil {
		t.Fatal(err)
	}
	if fileName != "" {
		req.Header.Set("File-Name", fileName)
	}
	req.Header.Set("Video-Duration", "63.2")
	req.Header.Set("Content-Type", "text/html")
	req.Header.Set(web.ViewerHeader, "ann")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct {
		Video       video.Video
		Error, Code string
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || (res.StatusCode >= 400) == (answer.Error == "") ||
		(answer.Error == "") != (answer.Code == "") || answer.Code == web.CodeInternal {
		t.Errorf("status %d, error %q, code %q, %v", res.StatusCode, answer.Error, answer.Code, err)
	}
	return res.StatusCode, answer.Video
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	err := chassistest.Poll(30*time.Second, func() error {
		if !ok() {
			return errors.New(what)
		}
		return nil
	})
	if err != nil {
		t.Fatal("not in time: ", err)
	}
}

func stopsListening(t *testing.T, address string) {
	t.Helper()
	eventually(t, "the service stops listening", func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
}

func TestUpload(t *testing.T) {
	const limit = 300_000
	address, storage, box := newTestService(t, limit)
	for _, test := range []struct {
		what   string
		body   []byte
		hidden bool
		length int64
	}{
		{"with a length", mp4(limit), false, limit},
		{"chunked", mp4(limit), true, -1},
		{"shorter than what tells the type", mp4(40), true, -1},
	} {
		t.Run(test.what, func(t *testing.T) {
			before := len(box.added())
			var body io.Reader = bytes.NewReader(test.body)
			if test.hidden {
				body = chunked(body)
			}
			status, v := post(t, address, "Urlaub%20%C3%BCber%20alles.MP4", body)
			if status != http.StatusCreated {
				t.Fatalf("status %d", status)
			}
			uploads, deleted := storage.seen()
			last := uploads[len(uploads)-1]
			if last.err != nil || !bytes.Equal(last.body, test.body) || last.length != test.length ||
				last.contentType != "video/mp4" || last.id != v.ID || len(deleted) != 0 {
				t.Errorf("storage got %d bytes of %d as %q under %q (%v), deleted %v",
					len(last.body), last.length, last.contentType, last.id, last.err, deleted)
			}
			want := video.Video{ID: v.ID, Name: "Urlaub über alles", ContentType: "video/mp4", Size: int64(len(test.body)), Duration: 63.2}
			if v != want || len(v.ID) != 36 {
				t.Errorf("answered %+v, want %+v", v, want)
			}
			facts := box.added()
			if len(facts) != before+1 {
				t.Fatalf("announced %d times", len(facts)-before)
			}
			var u announcement
			if err := json.Unmarshal(facts[before].Body, &u); err != nil {
				t.Fatal(err)
			}
			if u.ID != facts[before].ID || u.ID == v.ID || u.Owner.ID != "ann" || u.Video != want ||
				time.Since(u.UploadedAt).Abs() > time.Hour {
				t.Errorf("announced %s", facts[before].Body)
			}
		})
	}
}

func TestRejected(t *testing.T) {
	const limit = 100_000
	address, storage, box := newTestService(t, limit)
	file := mp4(5000)
	for _, test := range []struct {
		what, fileName string
		body           io.Reader
		want           int
	}{
		{"no name", "", bytes.NewReader(file), 400},
		{"a name of spaces", "%20%09", bytes.NewReader(file), 400},
		{"a name that is not UTF-8", "%ff.mp4", bytes.NewReader(file), 400},
		{"a name that is not encoded", "100%.mp4", bytes.NewReader(file), 400},
		{"a name of control characters", "%00%E2%80%AE", bytes.NewReader(file), 400},
		{"a folder", "videos/", bytes.NewReader(file), 400},
		{"the folder above", "..%2f..", bytes.NewReader(file), 400},
		{"empty", "a.mp4", http.NoBody, 400},
		{"empty and chunked", "a.mp4", chunked(strings.NewReader("")), 400},
		{"a page", "a.mp4", strings.NewReader("<!doctype html><script>alert(1)</script>"), 415},
		{"a picture", "a.mp4", strings.NewReader("\x89PNG\r\n\x1a\n" + strings.Repeat("x", 5000)), 415},
		{"one byte", "a.mp4", strings.NewReader("x"), 415},
		{"sound in an MP4", "a.mp4", strings.NewReader("\x00\x00\x00\x18ftypM4A \x00\x00\x00\x00M4A mp42"), 415},
		{"a picture in an MP4", "a.mp4", strings.NewReader("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"), 415},
		{"a byte too many", "a.mp4", bytes.NewReader(mp4(limit + 1)), 413},
	} {
		if status, _ := post(t, address, test.fileName, test.body); status != test.want {
			t.Errorf("%s: %d, want %d", test.what, status, test.want)
		}
	}
	if uploads, _ := storage.seen(); len(uploads) != 0 || len(box.added()) != 0 {
		t.Errorf("stored %d and announced %d of those", len(uploads), len(box.added()))
	}
	if status, _ := post(t, address, "a.mp4", chunked(bytes.NewReader(mp4(limit+1)))); status != 413 {
		t.Errorf("a byte too many, chunked: %d, want 413", status)
	}
	storedNothing(t, storage, box)
}

// TestRejectedEarly: a video whose first bytes are wrong never reaches the storage.
func TestRejectedEarly(t *testing.T) {
	address, storage, _ := newTestService(t, 100)
	if status, _ := post(t, address, "a.mp4", chunked(bytes.NewReader(mp4(101)))); status != 413 {
		t.Errorf("a byte too many: %d, want 413", status)
	}
	if uploads, _ := storage.seen(); len(uploads) != 0 {
		t.Error("the storage was asked")
	}
}

// storedNothing waits until the storage has seen one upload, an incomplete one.
func storedNothing(t *testing.T, storage *fakeStorage, box *fakeOutbox) {
	t.Helper()
	eventually(t, "the storage sees the end", func() bool { uploads, _ := storage.seen(); return len(uploads) > 0 })
	if uploads, _ := storage.seen(); len(uploads) != 1 || uploads[0].err == nil {
		t.Errorf("storage got %d uploads, the first with error %v", len(uploads), uploads[0].err)
	}
	if facts := box.added(); len(facts) != 0 {
		t.Errorf("announced: %s", facts[0].Body)
	}
}

// TestAtOnce: an error that is known before the end of the body is answered before it.
func TestAtOnce(t *testing.T) {
	const limit = 1 << 20
	for what, test := range map[string]struct {
		headers, body, want string
	}{
		"too large":       {"Content-Length: 1048577\r\nExpect: 100-continue\r\n\r\n", "", "HTTP/1.1 413"},
		"not a video":     {"Content-Length: 1048576\r\n\r\n", strings.Repeat("x", video.HeadSize), "HTTP/1.1 415"},
		"storage is full": {"Content-Length: 1048576\r\n\r\n", string(mp4(video.HeadSize)), "HTTP/1.1 507"},
	} {
		t.Run(what, func(t *testing.T) {
			address, storage, _ := newTestService(t, limit)
			storage.deaf = http.StatusInsufficientStorage
			conn := send(t, address, test.headers, test.body)
			_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			answer := make([]byte, len(test.want))
			if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != test.want {
				t.Errorf("answered %q, %v, want %q", answer, err, test.want)
			}
		})
	}
}

// TestClientGoneAfterTheEnd: a client that has sent the last byte has uploaded the video. It need not wait for the response.
func TestClientGoneAfterTheEnd(t *testing.T) {
	h, storage, box := newTestHandler(t, 1<<20)
	ctx, leave := context.WithCancel(t.Context())
	storage.answer = func(w http.ResponseWriter) {
		leave()
		w.WriteHeader(http.StatusCreated)
	}
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/upload", bytes.NewReader(mp4(5000)))
	req.Header.Set("File-Name", "a.mp4")
	h.ServeHTTP(httptest.NewRecorder(), req)
	if _, deleted := storage.seen(); len(box.added()) != 1 || len(deleted) != 0 {
		t.Errorf("announced %d times, deleted %v", len(box.added()), deleted)
	}
}

// send begins an upload by hand.
func send(t *testing.T, address, headers, body string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, "POST /upload HTTP/1.1\r\nHost: x\r\nFile-Name: a.mp4\r\n"+headers+body); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

func TestCutOff(t *testing.T) {
	const size = 200_000
	file := string(mp4(size))
	chunk := fmt.Sprintf("%x\r\n%s\r\n", size, file)
	for what, test := range map[string]struct {
		headers, body string
		end           func(*net.TCPConn) error
	}{
		"client gone":           {"Content-Length: 400000\r\n\r\n", file, (*net.TCPConn).Close},
		"client gone, chunked":  {"Transfer-Encoding: chunked\r\n\r\n", chunk, (*net.TCPConn).Close},
		"client died":           {"Content-Length: 400000\r\n\r\n", file, func(c *net.TCPConn) error { _ = c.SetLinger(0); return c.Close() }},
		"shorter than promised": {"Content-Length: 400000\r\n\r\n", file, (*net.TCPConn).CloseWrite},
		"malformed chunk":       {"Transfer-Encoding: chunked\r\n\r\n", chunk, func(c *net.TCPConn) error { _, err := c.Write([]byte("zz\r\n")); return err }},
	} {
		t.Run(what, func(t *testing.T) {
			address, storage, box := newTestService(t, 1<<30)
			conn := send(t, address, test.headers, test.body)
			eventually(t, "the storage has the first half", func() bool { return storage.got.Load() >= size/2 })
			if err := test.end(conn); err != nil {
				t.Fatal(err)
			}
			storedNothing(t, storage, box)
		})
	}
}

// TestStalled: a client that sends nothing and a storage that reads nothing time out.
func TestStalled(t *testing.T) {
	t.Parallel()
	const size = 16 << 20
	file := string(mp4(size))
	headers := fmt.Sprintf("Content-Length: %d\r\n\r\n", size)
	for _, test := range []struct{ what, body, want string }{
		{"client", file[:size-1], "HTTP/1.1 408"}, {"storage", file, "HTTP/1.1 502"},
	} {
		t.Run(test.what, func(t *testing.T) {
			storage, box := newFakeStorage(t), &fakeOutbox{}
			u := newTestUploads(t, t.TempDir(), storage.URL, box, size, timeouts{time.Second, time.Second})
			if test.what == "storage" {
				stall(t, u.storage)
			}
			conn := send(t, serveAsProcess(t, u.handler()).address, headers, "")
			go func() { _, _ = io.WriteString(conn, test.body) }()
			_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			answer := make([]byte, len(test.want))
			if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != test.want || len(box.added()) != 0 {
				t.Errorf("answered %q, %v, want %q", answer, err, test.want)
			}
		})
	}
}

// stall replaces the storage by a server that reads only the first byte of a video.
func stall(t *testing.T, base *url.URL) {
	t.Helper()
	over := make(chan struct{})
	stalled := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodPost {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = req.Body.Read(make([]byte, 1))
		<-over
	}))
	t.Cleanup(stalled.Close)
	t.Cleanup(func() { close(over) })
	base.Host = strings.TrimPrefix(stalled.URL, "http://")
}

// TestSharesAreBelowTheTotal: not even two addresses together take all slots.
func TestSharesAreBelowTheTotal(t *testing.T) {
	if addressUploads > maxUploads/3 || viewerUploads >= addressUploads {
		t.Errorf("%d of %d slots for an address, %d for a viewer", addressUploads, maxUploads, viewerUploads)
	}
}

// TestPlainUploadsAreBounded: no viewer and no address alone takes all slots, and a rejected client is told when to retry.
func TestPlainUploadsAreBounded(t *testing.T) {
	t.Parallel()
	storage, box := newFakeStorage(t), &fakeOutbox{}
	storage.discards = true
	u := newTestUploads(t, t.TempDir(), storage.URL, box, 1<<30)
	address := serveAsProcess(t, u.handler()).address
	var goOn []*io.PipeWriter
	ended := make(chan int, 3*maxUploads)
	begin := func(viewer, client string) {
		body, sender := io.Pipe()
		goOn = append(goOn, sender)
		used := u.uploads.Used()
		go func() { ended <- upload(t, address, viewer, client, body).StatusCode }()
		go func() { _, _ = sender.Write(mp4(100_000)) }()
		eventually(t, "the upload has a slot", func() bool { return u.uploads.Used() > used })
	}
	rejected := func(viewer, client string) {
		t.Helper()
		res := upload(t, address, viewer, client, bytes.NewReader(mp4(8<<20)))
		if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
			t.Errorf("viewer %s, address %s: %s, Retry-After %q", viewer, client, res.Status, res.Header.Get("Retry-After"))
		}
	}
	for range viewerUploads {
		begin("ann", "192.0.2.1")
	}
	rejected("ann", "192.0.2.1")
	rejected("ann", "192.0.2.9")
	for i := range addressUploads - viewerUploads {
		begin(fmt.Sprint("viewer", i), "192.0.2.1")
	}
	rejected("new", "192.0.2.1")
	for i := range maxUploads - addressUploads {
		begin(fmt.Sprint("other", i), fmt.Sprint("192.0.2.", 10+i/addressUploads))
	}
	waiting := make(chan int, 1)
	go func() {
		waiting <- upload(t, address, "eve", "192.0.2.3", bytes.NewReader(mp4(5000))).StatusCode
	}()
	rejected("gil", "192.0.2.4") // after it has waited, as eve has
	if status := <-waiting; status != http.StatusServiceUnavailable {
		t.Errorf("waited in vain: %d", status)
	}
	go func() { waiting <- upload(t, address, "eve", "192.0.2.3", bytes.NewReader(mp4(5000))).StatusCode }()
	for _, sender := range goOn {
		_ = sender.Close()
	}
	for range goOn {
		if status := <-ended; status != http.StatusCreated {
			t.Errorf("begun, and ended with %d", status)
		}
	}
	if status := <-waiting; status != http.StatusCreated {
		t.Errorf("waited, and ended with %d", status)
	}
}

// upload sends a file as one viewer from one address.
func upload(t *testing.T, address, viewer, client string, body io.Reader) *http.Response {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address+"/upload", body)
	if err != nil {
		t.Error(err)
		return &http.Response{}
	}
	req.Header.Set("File-Name", "a.mp4")
	req.Header.Set(web.ViewerHeader, viewer)
	req.Header.Set(web.ClientHeader, client)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return &http.Response{}
	}
	res.Body.Close()
	return res
}

// TestStreams: the beginning of a video is at the storage before its end has been sent.
func TestStreams(t *testing.T) {
	address, storage, _ := newTestService(t, 1<<30)
	body, sender := io.Pipe()
	go func() {
		_, _ = sender.Write(mp4(1 << 20))
		err := chassistest.Poll(30*time.Second, func() error {
			if storage.got.Load() < 1<<19 {
				return errors.New("the storage has not got the beginning")
			}
			return nil
		})
		if err == nil {
			_, err = sender.Write([]byte("the end"))
		}
		_ = sender.CloseWithError(err)
	}()
	if status, v := post(t, address, "a.mp4", body); status != http.StatusCreated || v.Size != 1<<20+7 {
		t.Errorf("status %d, %+v", status, v)
	}
}

func TestStorageFails(t *testing.T) {
	with := func(status int) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { w.WriteHeader(status) }
	}
	for what, test := range map[string]struct {
		arrange func(*fakeStorage)
		want    int
	}{
		"full":           {func(f *fakeStorage) { f.answer = with(507) }, 507},
		"full at once":   {func(f *fakeStorage) { f.deaf = 507 }, 507},
		"away":           {func(f *fakeStorage) { f.answer = with(503) }, 503},
		"broken":         {func(f *fakeStorage) { f.answer = with(500) }, 502},
		"another server": {func(f *fakeStorage) { f.answer = with(404) }, 502},
		"redirecting": {func(f *fakeStorage) {
			f.answer = func(w http.ResponseWriter) { w.Header().Set("Location", "/livez"); w.WriteHeader(302) }
		}, 502},
		"content with nothing": {func(f *fakeStorage) { f.deaf = 201 }, 502},
		"silent at the end": {func(f *fakeStorage) {
			f.answer = func(http.ResponseWriter) { panic(http.ErrAbortHandler) }
		}, 502},
		"down": {func(f *fakeStorage) { f.Close() }, 502},
	} {
		t.Run(what, func(t *testing.T) {
			address, storage, box := newTestService(t, 1<<30)
			test.arrange(storage)
			if status, _ := post(t, address, "a.mp4", bytes.NewReader(mp4(1<<20))); status != test.want {
				t.Errorf("status %d, want %d", status, test.want)
			}
			uploads, deleted := storage.seen()
			if (len(deleted) > 0) != (what != "down") || len(uploads) > 1 || len(box.added()) != 0 {
				t.Errorf("deleted %v, tried %d times, announced %v", deleted, len(uploads), box.added())
			}
		})
	}
}

func TestOutboxRejects(t *testing.T) {
	for _, reason := range []error{outbox.ErrFull, errors.New("no space left on device")} {
		address, storage, box := newTestService(t, 1<<30)
		box.reject = reason
		if status, _ := post(t, address, "a.mp4", bytes.NewReader(mp4(5000))); status != http.StatusServiceUnavailable {
			t.Errorf("status %d, want 503", status)
		}
		uploads, deleted := storage.seen()
		if len(uploads) != 1 || len(deleted) != 1 || deleted[0] != uploads[0].id {
			t.Errorf("stored %d, deleted %v", len(uploads), deleted)
		}
	}
}

func TestMissingVariables(t *testing.T) {
	err := run(t.Context(), chassistest.Env(map[string]string{"UPLOAD_LIMIT": "4G"}), io.Discard)
	for _, name := range []string{"PORT", "RABBIT", "OUTBOX_DIR", "UPLOAD_LIMIT"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not name %s", err, name)
		}
	}
}

func TestPostersByFFmpegCanBeOff(t *testing.T) {
	vars := map[string]string{"PORT": "1", "RABBIT": "nats://x", "OUTBOX_DIR": "x"}
	for value, want := range map[string]bool{"": true, "true": true, "false": false} {
		vars["POSTERS_BY_FFMPEG"] = value
		if cfg, err := readConfig(chassistest.Env(vars)); err != nil || cfg.ffmpeg != want {
			t.Errorf("%q gives %v, %v", value, cfg.ffmpeg, err)
		}
	}
	vars["POSTERS_BY_FFMPEG"] = "off"
	if _, err := readConfig(chassistest.Env(vars)); err == nil || !strings.Contains(err.Error(), "POSTERS_BY_FFMPEG must be true or false") {
		t.Error(err)
	}
}

// TestService stops the service in the middle of an upload, which it lets end, and starts it again: the video is announced.
func TestService(t *testing.T) {
	storage := newFakeStorage(t)
	vars := map[string]string{
		"RABBIT": chassistest.JetStream(t), "OUTBOX_DIR": t.TempDir(), "VIDEO_STORAGE_URL": storage.URL,
	}
	address, stop := chassistest.StartStop(t, run, vars)
	body, sender := io.Pipe()
	ended := make(chan video.Video, 1)
	go func() {
		status, v := post(t, address, "a.mp4", body)
		if status != http.StatusCreated {
			t.Errorf("status %d", status)
		}
		ended <- v
	}()
	if _, err := sender.Write(mp4(100_000)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the storage has the beginning", func() bool { return storage.got.Load() > 0 })
	go stop()
	stopsListening(t, address)
	sender.Close()
	v := <-ended
	stop()
	if v.ID == "" {
		t.Fatal("the upload was cut off")
	}

	address = chassistest.Start(t, run, vars)
	res, err := http.Get(address + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	ready, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || res.StatusCode != http.StatusOK || !strings.Contains(string(ready), `"video-storage":"ok"`) {
		t.Errorf("/readyz: %s %s, %v", res.Status, ready, err)
	}
	broker, err := brokers.Connect(vars["RABBIT"])
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	session, err := broker.Open(t.Context(), contracts.VideoUploaded.Queue("metadata"), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	waitFor(t, session, v.ID)
}

// waitFor acknowledges messages until one contains the text.
func waitFor(t *testing.T, session messaging.Session, text string) {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		select {
		case d, open := <-session.Deliveries():
			if !open {
				t.Fatal("the session is over")
			}
			if err := session.Ack([]messaging.Delivery{d}); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(d.Body), text) {
				return
			}
		case <-timeout:
			t.Fatal("no message with " + text)
		}
	}
}
