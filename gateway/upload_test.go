package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/process"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

func TestUploadStreams(t *testing.T) {
	arrived := make(chan string, 2)
	gateway := start(t, time.Second, fakes{"video-upload": func(w http.ResponseWriter, r *http.Request) {
		first := make([]byte, 5)
		_, _ = io.ReadFull(r.Body, first)
		arrived <- r.URL.Path + " " + r.Header.Get("File-Name") + " " + string(first)
		rest, _ := io.ReadAll(r.Body)
		arrived <- string(rest)
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"id":"new"}`)
	}})
	body, client := io.Pipe()
	answer := make(chan int)
	go func() {
		res, _ := do(t, request(t, "POST", gateway+"/api/upload", body, "File-Name", "%ED%95%9C.mp4"))
		answer <- res.StatusCode
	}()
	_, _ = io.WriteString(client, "first")
	if got := within(t, "the arrival of the first bytes", arrived); got != "/upload %ED%95%9C.mp4 first" {
		t.Errorf("first came %q", got)
	}
	_, _ = io.WriteString(client, "second")
	client.Close()
	if got := within(t, "the arrival of the rest", arrived); got != "second" {
		t.Errorf("then came %q", got)
	}
	if status := within(t, "the answer", answer); status != http.StatusCreated {
		t.Errorf("answered %d", status)
	}
}

func TestRejectionReachesTheBrowser(t *testing.T) {
	const answer = `{"error":"a sentence","code":"video_too_large","args":{"max":1500}}`
	refusing := func(status int, read int64) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).EnableFullDuplex()
			_, _ = io.CopyN(io.Discard, r.Body, read)
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
			w.WriteHeader(status)
			_, _ = io.WriteString(w, answer)
			if read > 0 { // as video-upload does, it closes only when the answer has had time to arrive: see chassis/process
				_ = http.NewResponseController(w).Flush()
				_, _ = io.Copy(io.Discard, r.Body)
			}
		}
	}
	content := make([]byte, 32<<20)
	for name, handler := range map[string]http.HandlerFunc{"413": refusing(413, 0), "415": refusing(415, 512)} {
		gateway := start(t, time.Second, fakes{"video-upload": handler})
		if res, body := browser(t, gateway+"/api/upload", "video/mp4", content); strconv.Itoa(res.StatusCode) != name || body != answer {
			t.Errorf("%s: %s %s", name, res.Status, body)
		}
		form, contentType := formWith(t, "a.mp4", content)
		if res, body := browser(t, gateway+"/upload", contentType, form); strconv.Itoa(res.StatusCode) != name || !strings.Contains(body, "The video is too large. At most 1.5 kB are allowed.") {
			t.Errorf("%s to the form: %s %s", name, res.Status, body)
		}

		body, client := io.Pipe()
		status := make(chan int)
		go func() {
			res, _ := do(t, request(t, "POST", gateway+"/api/upload", body))
			status <- res.StatusCode
		}()
		_, _ = client.Write(make([]byte, 1024))
		time.AfterFunc(soon, func() { client.Close() })
		if status := within(t, "the answer to a client that has not sent everything", status); strconv.Itoa(status) != name {
			t.Errorf("%s to a client that has not sent everything: %d", name, status)
		}
		client.Close()
	}
}

func formWith(t *testing.T, name string, contents ...[]byte) (body []byte, contentType string) {
	t.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	_ = form.WriteField("other", "field")
	for _, content := range contents {
		w, err := form.CreateFormFile("file", name)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write(content)
	}
	form.Close()
	return b.Bytes(), form.FormDataContentType()
}

func TestUploadForm(t *testing.T) {
	var got []string
	broken := make(chan error, 1)
	gateway := start(t, time.Second, fakes{"video-upload": func(_ http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(r.Body)
		if err != nil {
			broken <- err
			return
		}
		got = append(got, r.Header.Get("File-Name")+"="+string(content))
		if web.Viewer(r.Header) == "" {
			t.Error("the owner is missing")
		}
	}})
	form, contentType := formWith(t, "여름 100%.mp4", []byte("one"), []byte("two"))
	res, body := do(t, request(t, "POST", gateway+"/upload", bytes.NewReader(form), "Content-Type", contentType))
	if res.StatusCode != 303 || res.Header.Get("Location") != "/" {
		t.Fatalf("%s %s", res.Status, body)
	}
	const name = "%EC%97%AC%EB%A6%84%20100%25.mp4"
	if strings.Join(got, " ") != name+"=one "+name+"=two" {
		t.Errorf("came: %q", got)
	}

	half := bytes.NewReader(form[:bytes.Index(form, []byte("one"))+2])
	if res, _ := do(t, request(t, "POST", gateway+"/upload", half, "Content-Type", contentType)); res.StatusCode != 400 {
		t.Errorf("half a form: %s", res.Status)
	}
	_ = within(t, "the break of the upload upstream", broken)

	empty, contentType := formWith(t, "")
	for name, req := range map[string]*http.Request{
		"no file":    request(t, "POST", gateway+"/upload", bytes.NewReader(empty), "Content-Type", contentType),
		"not a form": request(t, "POST", gateway+"/upload", strings.NewReader("x"), "Content-Type", "text/plain"),
	} {
		if res, _ := do(t, req); res.StatusCode != 400 && res.StatusCode != 415 {
			t.Errorf("%s: %s", name, res.Status)
		}
	}
}

// TestUploadFormPartlyAccepted: the viewer is told which files not to send again.
func TestUploadFormPartlyAccepted(t *testing.T) {
	accepted := 0
	gateway := startWith(t, soon, 3, slog.New(slog.DiscardHandler), fakes{"video-upload": func(w http.ResponseWriter, r *http.Request) {
		content, _ := io.ReadAll(r.Body)
		switch {
		case r.Method == http.MethodGet: // for the page
		case string(content) == "text":
			refuse(w, http.StatusUnsupportedMediaType, codes.NotPlayable)
		case string(content) == "late":
			refuse(w, http.StatusServiceUnavailable, codes.UploadsFull)
		default:
			accepted++
		}
	}})
	send := func(cookie string, contents ...[]byte) (*http.Response, string) {
		t.Helper()
		form, contentType := formWith(t, "<여름>.mp4", contents...)
		return do(t, request(t, "POST", gateway+"/upload", bytes.NewReader(form), "Content-Type", contentType, "Cookie", cookie))
	}
	const rest = "Not accepted: “&lt;여름&gt;.mp4” and the files after it."
	res, body := send("", []byte("one"), []byte("text"), []byte("two"))
	if res.StatusCode != 415 || !strings.Contains(body, "“&lt;여름&gt;.mp4”: This is not a video in a format that browsers play.") || !strings.Contains(body, `<form id="upload-form"`) || accepted != 1 || !strings.Contains(body, "Videos accepted: 1. "+rest) {
		t.Errorf("%d were accepted: %s %s", accepted, res.Status, body)
	}
	if _, body := send("", []byte("text")); strings.Contains(body, "ccepted") {
		t.Errorf("one file alone: %s", body)
	}
	if _, body := send("lang=ko", []byte("one"), []byte("text")); !strings.Contains(body, "올린 동영상: 1개. “&lt;여름&gt;.mp4”부터는") {
		t.Errorf("in Korean: %s", body)
	}
	if res, body := send("", []byte("late")); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || !strings.Contains(body, "Too many videos are being uploaded") {
		t.Errorf("too many uploads: %s, Retry-After %q\n%s", res.Status, res.Header.Get("Retry-After"), body)
	}
	accepted = 0
	many := slices.Repeat([][]byte{[]byte("one")}, 5) // of which 30 requests pay for three
	res, body = send(cookie(strings.Repeat("v", 32)), many...)
	if res.StatusCode != 429 || res.Header.Get("Retry-After") == "" || accepted != 3 || !strings.Contains(body, "Videos accepted: 3. "+rest) {
		t.Errorf("%d were accepted: %s %s", accepted, res.Status, body)
	}
}

// stalling is a body that begins and then does not arrive in time. As in net/http, that cancels the request.
type stalling struct {
	io.Reader
	cancel func()
}

func (s stalling) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil {
		s.cancel()
		<-time.After(10 * time.Millisecond) // others see the one before the other
		return n, process.ErrBodyTimeout
	}
	return n, nil
}

// TestStalledForm: a form whose file stops arriving is the client's fault.
func TestStalledForm(t *testing.T) {
	upload := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { _, _ = io.Copy(io.Discard, req.Body) }))
	defer upload.Close()
	u, err := url.Parse(upload.URL)
	if err != nil {
		t.Fatal(err)
	}
	handler, err := newHandler(config{
		metadata: u, history: u, recommendations: u, streams: u, upload: u, rateLimit: 1000, viewerKeys: [][]byte{[]byte(testKey)},
	}, time.Second, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	form, contentType := formWith(t, "a.mp4", make([]byte, 1<<20))
	for name, arrived := range map[string]int{"before the file": 10, "within it": 1 << 19} {
		ctx, cancel := context.WithCancel(t.Context())
		req := httptest.NewRequestWithContext(ctx, "POST", "/upload", stalling{bytes.NewReader(form[:arrived]), cancel})
		req.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		if w.Code != http.StatusRequestTimeout {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
}
