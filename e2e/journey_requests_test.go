//go:build unix

package e2e

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/web"
)

// These journeys need nothing but the gateway. Where more can be seen, they look there too.

// TestJourneyRanges: RFC 9110 at the gateway, and nothing else at video-streaming and at video-storage. Without a named
// viewing, what counts as one is an answer that starts at byte 0.
func TestJourneyRanges(t *testing.T) { onEachSite(t, ranges) }

func ranges(t *testing.T, s *site) {
	body := sample(t)
	n := len(body)
	v := newViewer(t, s)
	name := unique("ranges")
	id := v.upload(name, body)
	v.waitListed(id, name)

	hops := map[string]string{"gateway": s.url + "/api/video?id="}
	if s.system != nil {
		hops["video-streaming"] = s.system.Services["video-streaming"].Address + "/video?id="
		hops["video-storage"] = s.system.Services["video-storage"].Address + "/video?id="
	}
	facts := v.must(v.send(http.MethodHead, hops["gateway"]+id, nil))
	etag, modified := facts.header.Get("ETag"), facts.header.Get("Last-Modified")
	if facts.status != http.StatusOK || etag == "" || modified == "" || facts.header.Get("Accept-Ranges") != "bytes" {
		t.Fatalf("HEAD is answered %d %v", facts.status, facts.header)
	}
	const long = "Sat, 01 Jan 2000 00:00:00 GMT"
	whole := [2]int{0, n}

	tests := []struct {
		name, method string
		headers      []string
		status       int
		parts        [][2]int // of the body
		counts       bool
	}{
		{"all", "GET", nil, 200, [][2]int{whole}, true},
		{"from 0", "GET", []string{"Range", "bytes=0-"}, 206, [][2]int{whole}, true},
		{"the first", "GET", []string{"Range", "bytes=0-0"}, 206, [][2]int{{0, 1}}, true},
		{"some", "GET", []string{"Range", "bytes=5-9"}, 206, [][2]int{{5, 10}}, false},
		{"beyond the end", "GET", []string{"Range", fmt.Sprintf("bytes=%d-%d", n-5, n+5)}, 206, [][2]int{{n - 5, n}}, false},
		{"the last", "GET", []string{"Range", "bytes=-7"}, 206, [][2]int{{n - 7, n}}, false},
		{"the last, more than all", "GET", []string{"Range", fmt.Sprintf("bytes=-%d", n+1)}, 206, [][2]int{whole}, true},
		{"several", "GET", []string{"Range", "bytes=2-3, 7-9,-4"}, 206, [][2]int{{2, 4}, {7, 10}, {n - 4, n}}, false},
		{"several, some beyond", "GET", []string{"Range", fmt.Sprintf("bytes=2-3,%d-", n)}, 206, [][2]int{{2, 4}}, false},
		{"at the end", "GET", []string{"Range", fmt.Sprintf("bytes=%d-", n)}, 416, nil, false},
		{"far beyond", "GET", []string{"Range", "bytes=99999999999999999999-"}, 416, nil, false},
		{"the last none", "GET", []string{"Range", "bytes=-0"}, 416, nil, false},
		{"another unit", "GET", []string{"Range", "frames=0-1"}, 200, [][2]int{whole}, true},
		{"If-Range, the tag", "GET", []string{"Range", "bytes=5-9", "If-Range", etag}, 206, [][2]int{{5, 10}}, false},
		{"If-Range, another tag", "GET", []string{"Range", "bytes=5-9", "If-Range", `"x"`}, 200, [][2]int{whole}, true},
		{"If-Range, the time", "GET", []string{"Range", "bytes=5-9", "If-Range", modified}, 206, [][2]int{{5, 10}}, false},
		{"If-Range, another time", "GET", []string{"Range", "bytes=5-9", "If-Range", long}, 200, [][2]int{whole}, true},
		{"If-None-Match", "GET", []string{"If-None-Match", `"x", W/` + etag}, 304, nil, false},
		{"If-None-Match, any", "GET", []string{"If-None-Match", "*"}, 304, nil, false},
		{"If-None-Match, another", "GET", []string{"If-None-Match", `"x"`, "Range", "bytes=1-2"}, 206, [][2]int{{1, 3}}, false},
		{"If-Modified-Since", "GET", []string{"If-Modified-Since", modified}, 304, nil, false},
		{"If-Match, another", "GET", []string{"If-Match", `"x"`}, 412, nil, false},
		{"HEAD", "HEAD", nil, 200, nil, false},
		{"HEAD with a range", "HEAD", []string{"Range", "bytes=0-4"}, 200, nil, false},
		{"HEAD, If-None-Match", "HEAD", []string{"If-None-Match", etag}, 304, nil, false},
	}
	var viewings []string
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for hop, address := range hops {
				a, err := v.send(test.method, address+id, nil, test.headers...)
				if err != nil {
					t.Fatal(err)
				}
				check := func(what string, got, want any) {
					if got != want {
						t.Errorf("%s: %s is %v, want %v", hop, what, got, want)
					}
				}
				check("status", a.status, test.status)
				switch test.status {
				case http.StatusRequestedRangeNotSatisfiable:
					check("Content-Range", a.header.Get("Content-Range"), fmt.Sprintf("bytes */%d", n))
					continue
				case http.StatusPreconditionFailed:
					continue
				}
				check("ETag", a.header.Get("ETag"), etag)
				if test.status == http.StatusNotModified {
					check("length of the body", len(a.body), 0)
					continue
				}
				check("Last-Modified", a.header.Get("Last-Modified"), modified)
				check("Accept-Ranges", a.header.Get("Accept-Ranges"), "bytes")
				if test.method == http.MethodHead {
					check("Content-Type", a.header.Get("Content-Type"), "video/mp4")
					check("Content-Length", a.header.Get("Content-Length"), strconv.Itoa(n))
					check("length of the body", len(a.body), 0)
					continue
				}
				if err := checkParts(a, body, test.parts); err != nil {
					t.Errorf("%s: %v", hop, err)
				}
			}
		})
		if test.counts {
			viewings = append(viewings, id)
		}
	}
	v.wantHistory(viewings...)
}

// checkParts compares the body, or each part of one with several, with what it must be.
func checkParts(a response, whole []byte, want [][2]int) error {
	check := func(header interface{ Get(string) string }, body []byte, part [2]int) error {
		var contentRange string
		if a.status == http.StatusPartialContent {
			contentRange = fmt.Sprintf("bytes %d-%d/%d", part[0], part[1]-1, len(whole))
		}
		if got := header.Get("Content-Range"); got != contentRange {
			return fmt.Errorf("Content-Range is %q, want %q", got, contentRange)
		}
		if got := header.Get("Content-Type"); got != "video/mp4" {
			return fmt.Errorf("Content-Type is %q", got)
		}
		if !bytes.Equal(body, whole[part[0]:part[1]]) {
			return fmt.Errorf("the body has %d other bytes", len(body))
		}
		return nil
	}
	if got := a.header.Get("Content-Length"); got != strconv.Itoa(len(a.body)) {
		return fmt.Errorf("Content-Length is %s, but the body has %d bytes", got, len(a.body))
	}
	kind, parameters, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil {
		return err
	}
	if len(want) == 1 && kind != "multipart/byteranges" {
		return check(a.header, a.body, want[0])
	}
	if kind != "multipart/byteranges" {
		return fmt.Errorf("Content-Type is %s", kind)
	}
	parts := multipart.NewReader(bytes.NewReader(a.body), parameters["boundary"])
	for _, part := range want {
		p, err := parts.NextPart()
		if err != nil {
			return err
		}
		body, err := io.ReadAll(p)
		if err = errors.Join(err, check(p.Header, body, part)); err != nil {
			return err
		}
	}
	if _, err := parts.NextPart(); err != io.EOF {
		return errors.New("there is one part too many")
	}
	return nil
}

// TestJourneyHostileRequests: hostile requests are answered with 4xx, and nothing but videos is read or written.
func TestJourneyHostileRequests(t *testing.T) {
	s := anySite(t)
	body := sample(t)
	v := newViewer(t, s)
	name := unique("target")
	id := v.upload(name, body)
	v.waitListed(id, name)
	long := strings.Repeat("a", 10<<10)
	around := s.around(t)

	t.Run("ids", func(t *testing.T) {
		for _, query := range []string{
			"", "id", "id=", "id=../package.json", "id=%2e%2e%2fpackage.json", "id=..%2f..%2fgo.mod", "id=..%5c..%5cgo.mod",
			"id=/etc/passwd", "id=%2fetc%2fpasswd", "id=.", "id=..", "id=%00", "id=" + id + "%00", "id=" + id + "/video",
			"id=" + id + "/../" + id, "id=./" + id, "id=" + id + "%20", "id=%ff%fe", "id=%zz", "id=a%0d%0aX-Injected:%201",
			"id=" + long, "id=none&id=" + id, "id=<script>alert(1)</script>", "id=" + uuid.NewString(), "id=con", "id=file:///etc/passwd",
		} {
			for _, path := range []string{"/api/video?", "/video?"} {
				for _, method := range []string{http.MethodGet, http.MethodHead} {
					a, err := v.send(method, path+query, nil)
					if err != nil {
						t.Errorf("%s %s%.60s: %v", method, path, query, err)
						continue
					}
					bad := a.header.Get("X-Injected") != "" || bytes.Contains(a.body, []byte("root:")) || bytes.Contains(a.body, []byte("<script>alert"))
					if (a.status != http.StatusBadRequest && a.status != http.StatusNotFound) || bad {
						t.Errorf("%s %s%.60s is answered %d %.200s", method, path, query, a.status, a.body)
					}
					if path == "/api/video?" && method == http.MethodGet && !isJSONError(a) {
						t.Errorf("%s %s%.60s is answered %.200s, want a JSON error", method, path, query, a.body)
					}
				}
			}
		}
	})

	t.Run("paths and methods", func(t *testing.T) {
		for _, request := range []string{
			"GET /../../../etc/passwd", "GET //etc/passwd", "GET /%2e%2e/%2e%2e/etc/passwd", "GET /assets/../../go.mod",
			"GET /assets/x/%2e%2e%2f%2e%2e%2fgo.mod", "GET /video/../api", "GET /metrics", "GET /videos", "GET /recommendations",
			"POST /viewed", "GET /api/upload", "DELETE /video?id=" + id, "DELETE /api/video?id=" + id, "PATCH /api/video?id=" + id,
			"PUT /api/video?id=" + id, "POST /api/video?id=" + id, "TRACE /", "NONSENSE /", "GET /api/video?id=\x00", "GET /" + long,
			"POST /video/remove?id=" + id, "POST /video/rename?id=" + id + "&name=x",
			"GET /?q=" + long, "GET /?skip=-1", "GET /?skip=99999999999999999999", "GET /history?skip=x",
		} {
			a, err := s.raw(t, request+" HTTP/1.1\r\nHost: "+s.host(t)+"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			if err != nil || a.status < 400 || a.status > 499 {
				t.Errorf("%.60q is answered %d, error %v", request, a.status, err)
			}
		}
	})

	t.Run("headers", func(t *testing.T) {
		for _, headers := range [][]string{
			{"Cookie", "viewer=../../etc/passwd"},
			{"Cookie", "viewer=" + long},
			{"Cookie", "viewer=%00; viewer="},
			{"Accept-Encoding", "gzip"},
			{"Range", "bytes=" + long},
			{"X-Forwarded-For", long},
			{"Accept", "\xff"},
		} {
			for _, path := range []string{"/", "/history", "/video?id=" + id, "/api/video?id=" + id} {
				a, err := http.DefaultClient.Do(request(t, http.MethodGet, s.url+path, headers...))
				if err != nil {
					t.Fatal(err)
				}
				a.Body.Close()
				if a.StatusCode >= 500 {
					t.Errorf("%s with %.40q is answered %d", path, headers, a.StatusCode)
				}
			}
		}
	})

	t.Run("uploads", func(t *testing.T) {
		text := "This is a text, whatever the headers say.\n"
		tests := []struct {
			name     string
			file     string // File-Name
			body     string
			statuses []int
		}{
			{"no name", "", string(body), []int{400}},
			{"a name of dots", "..", string(body), []int{400}},
			{"a name that is a folder", "a%2F", string(body), []int{400}},
			{"a name badly encoded", "%zz.mp4", string(body), []int{400}},
			{"a name that is not UTF-8", "%ff%fe.mp4", string(body), []int{400}},
			{"a name of control characters", "%00%01%0d%0a", string(body), []int{400}},
			{"nothing", "empty.mp4", "", []int{400}},
			{"a text", "text.mp4", text, []int{415}},
			{"a page", "page.mp4", "<!doctype html><script>alert(1)</script>", []int{415}},
			{"a picture", "picture.mp4", "\x89PNG\r\n\x1a\n" + long, []int{415}},
		}
		for _, test := range tests {
			a := v.must(v.send(http.MethodPost, "/api/upload", strings.NewReader(test.body),
				"File-Name", test.file, "Content-Type", "video/mp4", "Id", "../../evil"))
			if !slices.Contains(test.statuses, a.status) || !isJSONError(a) {
				t.Errorf("%s is answered %d %.200s, want %v", test.name, a.status, a.body, test.statuses)
			}
		}
		unsent, never := io.Pipe()
		defer never.Close()
		tooLarge, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/api/upload", unsent)
		if err != nil {
			t.Fatal(err)
		}
		tooLarge.Header.Set("File-Name", "x.mp4")
		tooLarge.ContentLength = 5 << 30
		a, err := v.http.Do(tooLarge)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		if a.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("too large a video is answered %d", a.StatusCode)
		}
	})

	t.Run("titles", func(t *testing.T) {
		mark := unique("x")
		for file, title := range map[string]string{
			"../../../../" + mark + " evil.mp4":                 mark + " evil",
			`..\..\` + mark + " bad.mp4":                        mark + " bad",
			mark + "<img src=x onerror=alert(1)>.mp4":           mark + "<img src=x onerror=alert(1)>",
			mark + `" onmouseover="alert(1).mp4`:                mark + `" onmouseover="alert(1)`,
			mark + "\r\nSet-Cookie: a=b\x00\u202egpj.mp4":       mark + "Set-Cookie: a=bgpj",
			mark + " {{.}} ${1} %s " + strings.Repeat("ü", 300): mark + " {{.}} ${1} %s ",
		} {
			id := v.uploaded(v.must(v.send(http.MethodPost, "/api/upload", bytes.NewReader(body),
				"File-Name", url.PathEscape(file), "Id", "../../evil")))
			if _, err := uuid.Parse(id); err != nil {
				t.Errorf("%.40q gets the id %q", file, id)
			}
			v.waitListed(id, title)
			for _, path := range []string{"/", "/video?id=" + id} {
				if a := v.must(v.get(path)); bytes.Contains(a.body, []byte("<img src=x")) || bytes.Contains(a.body, []byte(`" onmouseover="`)) {
					t.Errorf("%s holds the title unescaped", path)
				}
			}
		}
	})

	t.Run("afterwards", func(t *testing.T) {
		v := &viewer{t, s, v.http}
		v.mustWatch(id, body)
		v.waitListed(id, name)
		if now := s.around(t); !slices.Equal(now, around) {
			t.Errorf("files came into being: %q, before it was %q", now, around)
		}
		if s.videos == "" {
			return
		}
		for _, file := range s.files(t, "*/*") {
			name := filepath.Base(file)
			if strings.HasPrefix(filepath.Base(filepath.Dir(file)), ".unfinished-") && name == "lock" {
				continue // of the running process
			}
			if _, err := uuid.Parse(filepath.Base(filepath.Dir(file))); err != nil || !slices.Contains([]string{"video", "poster.jpg", "about.json", "uploaded.json"}, name) {
				t.Errorf("in the folder of videos is %s", file)
			}
		}
	})
}

// around returns the files beside and above the data, where none may come into being.
func (s *site) around(t *testing.T) []string {
	t.Helper()
	if s.videos == "" {
		return nil
	}
	return slices.Concat(s.files(t, "../*"), s.files(t, "../../*"), s.files(t, "../../../*"))
}

func (s *site) files(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.videos, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func request(t *testing.T, method, address string, headers ...string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header[headers[i]] = []string{headers[i+1]} // as it is
	}
	return req
}

// isJSONError reports whether a response is {"error": "...", "code": "..."}, perhaps with "args", and no more.
func isJSONError(r response) bool {
	var e struct {
		Error, Code string
		Args        map[string]any
	}
	decoder := json.NewDecoder(bytes.NewReader(r.body))
	decoder.DisallowUnknownFields()
	return decoder.Decode(&e) == nil && e.Error != "" && e.Code != ""
}

// parsedURL is that of the gateway, and address the host and the port to connect to.
func (s *site) parsedURL(tb testing.TB) (u *url.URL, address string) {
	tb.Helper()
	u, err := url.Parse(s.url)
	if err != nil {
		tb.Fatal(err)
	}
	return u, net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), u.Scheme)) // a scheme is the name of its port
}

func (s *site) host(tb testing.TB) string {
	tb.Helper()
	u, _ := s.parsedURL(tb)
	return u.Host
}

// clientConn is a TCP connection, or TLS on one.
type clientConn interface {
	net.Conn
	CloseWrite() error
}

// dial connects to the gateway, for what http.Client would not send. By HTTPS it speaks HTTP/1.1, too.
func (s *site) dial(tb testing.TB) clientConn {
	tb.Helper()
	u, address := s.parsedURL(tb)
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	var conn net.Conn
	var err error
	if u.Scheme == "https" {
		conn, err = tls.DialWithDialer(dialer, "tcp", address, nil)
	} else {
		conn, err = dialer.Dial("tcp", address)
	}
	if err == nil {
		err = conn.SetDeadline(time.Now().Add(timeout))
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	return conn.(clientConn)
}

// reset ends a connection without a goodbye.
func reset(conn net.Conn) error {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	return errors.Join(conn.(*net.TCPConn).SetLinger(0), conn.Close())
}

// raw sends bytes and returns the status that comes back.
func (s *site) raw(t *testing.T, sent string) (response, error) {
	t.Helper()
	conn := s.dial(t)
	defer conn.Close()
	if _, err := io.WriteString(conn, sent); err != nil {
		return response{}, err
	}
	head := make([]byte, len("HTTP/1.1 200"))
	if _, err := io.ReadFull(conn, head); err != nil {
		return response{}, err
	}
	status, err := strconv.Atoi(string(head[len("HTTP/1.1 "):]))
	return response{status: status}, err
}

// TestJourneyBrokenUploads leave no bytes and no entry.
func TestJourneyBrokenUploads(t *testing.T) { onEachSite(t, brokenUploads) }

func brokenUploads(t *testing.T, s *site) {
	body := sample(t)
	v := newViewer(t, s)
	half := string(body[:len(body)/2])
	form := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"%s.mp4\"\r\nContent-Type: video/mp4\r\n\r\n" + half
	host := s.host(t)
	tests := []struct{ name, sent string }{
		{"by length", "POST /api/upload HTTP/1.1\r\nHost: " + host + "\r\nFile-Name: %s.mp4\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + half},
		{"in chunks", "POST /api/upload HTTP/1.1\r\nHost: " + host + "\r\nFile-Name: %s.mp4\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n", len(half)) + half + "\r\n"},
		{"from a form", "POST /upload HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + form},
	}
	for _, test := range tests {
		for _, end := range []string{"closed", "half closed", "reset"} {
			ok := t.Run(test.name+", "+end, func(t *testing.T) {
				var before []string
				var err error
				if s.videos != "" {
					if before, err = s.stored(nil); err != nil {
						t.Fatal(err)
					}
				}
				name := "broken-" + uuid.NewString()
				conn := s.dial(t)
				if _, err := io.WriteString(conn, strings.Replace(test.sent, "%s", name, 1)); err != nil {
					t.Fatal(err)
				}
				if s.videos != "" {
					chassistest.Eventually(t, timeout, "the upload has reached the store", func() error {
						more, err := s.stored(before)
						if err == nil && len(more) == 0 {
							err = errors.New("there is no more than before")
						}
						return err
					})
				}
				switch end {
				case "half closed":
					err = conn.CloseWrite()
				case "reset":
					err = reset(conn)
				default:
					err = conn.Close()
				}
				if err != nil {
					t.Fatal(err)
				}
				if s.videos != "" {
					s.waitNothingStored(t, before)
				}
			})
			if !ok {
				return
			}
		}
	}
	// An announcement of one of them would arrive before this one.
	name := unique("unbroken")
	var accepted response
	chassistest.Eventually(t, timeout, "the broken uploads end, and leave room for another", func() (err error) {
		accepted, err = v.send(http.MethodPost, "/api/upload", bytes.NewReader(body), "File-Name", url.PathEscape(name+".mp4"))
		if err == nil && accepted.status == http.StatusServiceUnavailable {
			err = fmt.Errorf("%d %s", accepted.status, accepted.body)
		}
		return err
	})
	v.waitListed(v.uploaded(accepted), name)
	if ids, err := v.titled("broken-"); err != nil || len(ids) != 0 {
		t.Errorf("listed are %q, error %v", ids, err)
	}
}

// TestJourneyViewerCookie: the cookie alone identifies a viewer; headers do not.
func TestJourneyViewerCookie(t *testing.T) {
	s := anySite(t)
	body := sample(t)
	v, other := newViewer(t, s), newViewer(t, s)
	v.http.Transport = &http.Transport{TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}} // HTTP/2 has no hop-by-hop headers
	name := unique("mine")
	id := v.upload(name, body)
	v.waitListed(id, name)

	for _, headers := range [][]string{
		{web.ViewerHeader, other.id()},
		{"Connection", web.ViewerHeader}, // a hop-by-hop header would be dropped on the way
	} {
		a := v.must(v.get("/api/video?id="+id, headers...))
		if a.status != http.StatusOK {
			t.Fatalf("with %q it is answered %d", headers, a.status)
		}
	}
	v.wantHistory(id, id)
	other.wantHistory()
	a := other.must(other.get("/history", web.ViewerHeader, v.id()))
	if a.status != http.StatusOK || bytes.Contains(a.body, []byte(id)) {
		t.Errorf("another's history is shown to who names them (status %d)", a.status)
	}
	for path, form := range map[string]url.Values{
		"/video/rename": {"id": {id}, "name": {"stolen"}}, "/video/remove": {"id": {id}},
	} {
		a := other.must(other.send(http.MethodPost, path, strings.NewReader(form.Encode()),
			"Content-Type", "application/x-www-form-urlencoded", web.ViewerHeader, v.id()))
		if a.status != http.StatusForbidden {
			t.Errorf("%s by a viewer who is not the owner is answered %d", path, a.status)
		}
	}
	v.waitListed(id, name)
}

// TestInnerServices: the services behind the gateway answer neither pages of other sites nor names that these could choose.
func TestInnerServices(t *testing.T) {
	s := withEmbedded(t)
	for name, service := range s.system.Services {
		if name == "gateway" {
			continue
		}
		for _, c := range []struct {
			host, site string
			want       int
		}{{"", "none", 200}, {"evil.example", "", 421}, {"", "cross-site", 403}} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, service.Address+"/livez", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = c.host
			req.Header.Set("Sec-Fetch-Site", c.site)
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != c.want {
				t.Errorf("%s for the host %q from %q: %s, want %d", name, c.host, c.site, res.Status, c.want)
			}
		}
	}
}
