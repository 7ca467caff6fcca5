package main

import (
	"encoding/base64"
	"fmt"
	"image/jpeg"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

// fakeUpload is a video-upload with as much of the tus protocol as the page needs, and a library that lists complete uploads.
type fakeUpload struct {
	t *testing.T

	mu       sync.Mutex
	uploads  map[string]*incoming
	names    map[string]string // of the videos that are listed
	asked    []string
	limit    int64
	cut      int64         // bytes after which PATCHes are cut, as long as it is not 0
	hold     chan struct{} // if not nil, a POST waits for it
	rejected string        // if not empty, the code of the answer to bytes
	lose     bool          // the answer to the last bytes is lost, and the upload is forgotten
	check    chan struct{} // if not nil, the answer to the last bytes waits for it
	late     int           // the status of a DELETE of a complete upload
	unheard  chan struct{} // if not nil, a DELETE waits for it
	away     bool          // metadata is down
	pages    int           // of which metadata was asked while away
}

type incoming struct {
	size, offset       int64
	filename, duration string
	poster             bool
}

func newFakeUpload(t *testing.T) *fakeUpload {
	t.Helper()
	return &fakeUpload{t: t, uploads: map[string]*incoming{}, names: map[string]string{}, limit: 1 << 30, late: http.StatusConflict}
}

func (s *fakeUpload) start() (gateway string) {
	return start(s.t, soon, fakes{
		"video-upload": s.upload, "metadata": s.metadata,
		"recommendations": answers(object{}), "history": answers(object{}),
		"video-streaming": func(w http.ResponseWriter, r *http.Request) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if _, ok := s.names[r.FormValue("id")]; !ok || r.Method != http.MethodHead {
				w.WriteHeader(http.StatusNotFound)
			}
		},
	})
}

func (s *fakeUpload) metadata(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := r.FormValue("id")
	if s.away {
		if id != "" {
			s.pages++
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if r.Method == http.MethodPatch {
		body, _ := io.ReadAll(r.Body)
		s.names[id] = string(body)
		return
	}
	if r.URL.Path == "/videos/own" {
		answer(w, object{"videos": []object{}})
		return
	}
	if name, ok := s.names[id]; ok {
		answer(w, object{"video": object{"_id": id, "name": name, "owner": web.Viewer(r.Header)}})
		return
	}
	refuse(w, http.StatusNotFound, codes.VideoNotFound)
}

func (s *fakeUpload) upload(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r.Method)
	hold := map[string]chan struct{}{http.MethodPost: s.hold, http.MethodDelete: s.unheard}[r.Method]
	s.mu.Unlock()
	if hold != nil {
		<-hold
	}
	w.Header().Set("Tus-Resumable", "1.0.0")
	id, isPoster := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/uploads/"), "/poster")
	s.mu.Lock()
	defer s.mu.Unlock()
	up := s.uploads[id]
	switch {
	case r.Method == http.MethodGet && r.URL.Path == "/uploads":
		list := []object{}
		for id, up := range s.uploads {
			list = append(list, object{"id": id, "fileName": up.filename, "size": up.size, "offset": up.offset})
		}
		answer(w, object{"uploads": list})
	case r.Method == http.MethodOptions:
		w.Header().Set("Tus-Max-Size", strconv.FormatInt(s.limit, 10))
	case r.Method == http.MethodPost:
		id = fmt.Sprintf("upload-%d", len(s.uploads)+1)
		up = &incoming{}
		up.size, _ = strconv.ParseInt(r.Header.Get("Upload-Length"), 10, 64)
		for pair := range strings.SplitSeq(r.Header.Get("Upload-Metadata"), ",") {
			key, encoded, _ := strings.Cut(pair, " ")
			value, err := base64.StdEncoding.DecodeString(encoded)
			if err != nil {
				s.t.Errorf("metadata %q: %v", pair, err)
			}
			if key == "filename" {
				up.filename = string(value)
			} else {
				up.duration = string(value)
			}
		}
		s.uploads[id] = up
		w.Header().Set("Location", "/uploads/"+id)
		w.WriteHeader(http.StatusCreated)
	case up == nil:
		refuse(w, http.StatusNotFound, codes.UploadNotFound)
	case r.Method == http.MethodDelete && up.offset == up.size:
		w.WriteHeader(s.late)
	case r.Method == http.MethodDelete:
		delete(s.uploads, id)
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPut && isPoster:
		picture, err := jpeg.Decode(r.Body)
		if err != nil || picture.Bounds().Dx() > 640 || r.Header.Get("Content-Type") != "image/jpeg" || up.offset == up.size {
			s.t.Errorf("the poster: %v", err)
		}
		up.poster = true
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodHead:
		w.Header().Set("Upload-Offset", strconv.FormatInt(up.offset, 10))
		w.Header().Set("Upload-Length", strconv.FormatInt(up.size, 10))
	case s.rejected != "":
		delete(s.uploads, id)
		refuse(w, http.StatusUnsupportedMediaType, s.rejected)
	case r.Header.Get("Upload-Offset") != strconv.FormatInt(up.offset, 10):
		w.WriteHeader(http.StatusConflict)
	default:
		var body io.Reader = r.Body
		if s.cut > 0 {
			body = io.LimitReader(body, s.cut-up.offset)
		}
		n, _ := io.Copy(io.Discard, body)
		up.offset += n
		if up.offset < up.size && s.cut > 0 && up.offset == s.cut {
			panic(http.ErrAbortHandler)
		}
		if up.offset == up.size {
			s.names[id] = up.filename
			if s.lose {
				delete(s.uploads, id)
				panic(http.ErrAbortHandler)
			}
			if check := s.check; check != nil {
				s.mu.Unlock()
				<-check
				s.mu.Lock()
			}
		}
		w.Header().Set("Upload-Offset", strconv.FormatInt(up.offset, 10))
		w.WriteHeader(http.StatusNoContent)
	}
}

func (s *fakeUpload) count(method string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.asked {
		if m == method {
			n++
		}
	}
	return n
}

func (s *fakeUpload) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func sample(t *testing.T) (path string) {
	t.Helper()
	samples, err := filepath.Glob("../flixtube/samples/*.mp4")
	if err != nil || len(samples) == 0 {
		chassistest.Missing(t, "a sample video (scripts/make-samples)")
	}
	path, _ = filepath.Abs(samples[0])
	return path
}

func (b tab) choose(files ...string) {
	b.t.Helper()
	b.do("choose", chromedp.SetUploadFiles(chromedp.CSS("#files"), files))
}

const row = `document.querySelector("#uploads li")`

func TestBrowserUpload(t *testing.T) {
	s := newFakeUpload(t)
	s.hold = make(chan struct{})
	resume := sync.OnceFunc(func() { close(s.hold) })
	b := newTab(startBrowser(t), t, s.start())
	t.Cleanup(resume)
	b.open("/upload")
	path := sample(t)
	name := strings.TrimSuffix(filepath.Base(path), ".mp4")
	b.choose(path, path)
	b.until(`document.querySelectorAll("#uploads li").length === 2 && ` + row + `.querySelector(".title").value === "` + name + `"`)
	b.until(row + `.querySelector("canvas") !== null`)
	b.do("edit the title while it is being sent", chromedp.Evaluate[chromedp.Void](`{ const title = `+row+`.querySelector(".title");
		title.focus(); title.value = "나의/제목"; title.dispatchEvent(new Event("input")); title.dispatchEvent(new Event("change")); }`))
	resume()
	b.until(`document.querySelectorAll("#uploads li.done a").length === 2`)
	b.until(row + `.innerText.includes("The title is saved.")`)
	s.set(func() {
		if got := s.names["upload-1"]; got != `{"name":"나의/제목"}` {
			t.Errorf("renamed by %s", got)
		}
		if got := s.names["upload-2"]; got != filepath.Base(path) {
			t.Errorf("the second is %s", got)
		}
		for id, up := range s.uploads {
			if seconds, err := strconv.ParseFloat(up.duration, 64); err != nil || seconds < 1 || !up.poster || up.offset != up.size {
				t.Errorf("%s came as %+v", id, up)
			}
		}
	})
	b.do("edit the title afterwards", chromedp.Evaluate[chromedp.Void](`{ const title = `+row+`.querySelector(".title");
		title.value = "Later"; title.dispatchEvent(new Event("input")); title.dispatchEvent(new Event("change")); }`))
	if err := chassistest.Poll(soon, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if got := s.names["upload-1"]; got != `{"name":"Later"}` {
			return fmt.Errorf("renamed by %s", got)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if n := s.count("POST"); n != 2 {
		t.Errorf("%d uploads were created", n)
	}
}

// TestBrowserUploadDropped: files may be dropped anywhere on the page.
func TestBrowserUploadDropped(t *testing.T) {
	s := newFakeUpload(t)
	b := newTab(startBrowser(t), t, s.start())
	b.open("/upload")
	b.do("drop two files", chromedp.Evaluate[chromedp.Void](`{ const dataTransfer = new DataTransfer();
		dataTransfer.items.add(new File(["a video"], "Dropped.mp4", { type: "video/mp4" }));
		dataTransfer.items.add(new File(["a text"], "notes.txt", { type: "text/plain" }));
		for (const type of ["dragover", "drop"])
			document.body.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true })); }`))
	b.until(`document.querySelectorAll("#uploads li.done a").length === 1`)
	b.until(`document.querySelector("#uploads li.failed").innerText.includes("not a video")`)
	s.set(func() {
		if up := s.uploads["upload-1"]; len(s.uploads) != 1 || up.filename != "Dropped.mp4" || up.offset != 7 {
			t.Errorf("came %v, the first %+v", s.uploads, up)
		}
	})
}

// TestBrowserUploadContinues cuts the connection, first for a moment, then until the viewer leaves the page.
func TestBrowserUploadContinues(t *testing.T) {
	s := newFakeUpload(t)
	s.cut = 100_000
	b := newTab(startBrowser(t), t, s.start())
	b.expectErrors("status of 502", "beforeunload")
	b.open("/upload")
	b.choose(sample(t))
	b.until(row + `.querySelector(".state").textContent.includes("Trying again")`)
	b.until(`document.querySelector("#said[role=status]").textContent.includes("Trying again")`)
	s.set(func() { s.cut = 200_000 }) // it continues, and is cut again
	if err := chassistest.Poll(3*soon, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if got := s.uploads["upload-1"].offset; got != 200_000 {
			return fmt.Errorf("%d bytes have come", got)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	b.open("/history")
	s.set(func() { s.cut = 0 })
	b.open("/upload")
	b.choose(sample(t))
	b.until(`document.querySelectorAll("#uploads li.done a").length === 1`)
	if n := s.count("POST"); n != 1 {
		t.Errorf("%d uploads were created", n)
	}
	b.do("choose it once more", chromedp.SetUploadFiles(chromedp.CSS("#files"), []string{sample(t)}))
	b.until(`document.querySelectorAll("#uploads li.done a").length === 2`)
	if n := s.count("POST"); n != 2 {
		t.Errorf("%d uploads were created for a file that was sent twice", n)
	}
}

// TestBrowserUploadWithoutPicture: the page warns of a picture that the browser cannot decode, with or without sound, and of
// no other. It uploads the file all the same.
func TestBrowserUploadWithoutPicture(t *testing.T) {
	s := newFakeUpload(t)
	b := newTab(startBrowser(t), t, s.start())
	b.open("/upload")
	b.choose(soundOnly(t), sample(t))
	b.until(`document.querySelectorAll("#uploads li.done a").length === 2`)
	b.until(`[...document.querySelectorAll("#uploads .warning")].map((w) => w.innerText).join("|") ===
		"This browser cannot show the picture of this video. Others may hear only its sound.|"`)
	silent := undecodable(t, "-an")
	for language, want := range map[string]string{
		"en": "This browser cannot play this video.", "ko": "이 브라우저는 이 동영상을 재생할 수 없습니다.",
	} {
		b.speaks(language)
		b.open("/upload")
		b.choose(silent)
		b.until(`document.querySelectorAll("#uploads li.done a").length === 1`)
		b.until(fmt.Sprintf(`document.querySelector("#uploads .warning").innerText === %q && document.getElementById("said").textContent.endsWith(%[1]q)`, want))
	}
}

// TestBrowserUploadOfAnotherBrowser: an upload in the list continues with the file of its size, and no other.
func TestBrowserUploadOfAnotherBrowser(t *testing.T) {
	s := newFakeUpload(t)
	stat, err := os.Stat(sample(t))
	if err != nil {
		t.Fatal(err)
	}
	s.uploads["begun"] = &incoming{size: stat.Size(), offset: 100_000, filename: "Begun elsewhere v1.5.mp4"}
	b := newTab(startBrowser(t), t, s.start())
	b.open("/upload")
	other := filepath.Join(t.TempDir(), "other.mp4")
	if err := os.WriteFile(other, make([]byte, 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	with := func(file string) {
		t.Helper()
		b.do("choose", chromedp.SetUploadFiles(chromedp.CSS("#unfinished input[type=file]"), []string{file}))
	}
	with(other)
	b.until(`document.querySelector("#unfinished .facts").textContent.startsWith("This is another file.")`)
	with(sample(t))
	b.until(`document.querySelectorAll("#uploads li.done a").length === 1 && document.getElementById("unfinished").hidden`)
	if got := look(b, row+`.querySelector(".title").value`); got != "Begun elsewhere v1.5" {
		t.Errorf("the title is %q", got)
	}
	if n := s.count("POST"); n != 0 || s.uploads["begun"].offset != stat.Size() {
		t.Errorf("%d uploads were created, and the one has %d bytes", n, s.uploads["begun"].offset)
	}
}

func TestBrowserUploadWhoseLastAnswerIsLost(t *testing.T) {
	s := newFakeUpload(t)
	s.lose = true
	b := newTab(startBrowser(t), t, s.start())
	b.expectErrors("status of 502", "status of 404")
	b.open("/upload")
	b.choose(sample(t))
	b.until(`document.querySelectorAll("#uploads li.done a").length === 1`)
	if n := s.count("POST"); n != 1 {
		t.Errorf("%d uploads were created", n)
	}
	s.set(func() { s.lose = false })
	b.choose(sample(t)) // on purpose
	b.until(`document.querySelectorAll("#uploads li.done a").length === 2`)
	if n := s.count("POST"); n != 2 {
		t.Errorf("%d uploads were created for a file that was sent twice", n)
	}
}

func TestBrowserUploadRejected(t *testing.T) {
	s := newFakeUpload(t)
	s.limit = 1 << 20
	s.rejected = codes.NotPlayable
	b := newTab(startBrowser(t), t, s.start())
	b.expectErrors("status of 415", "status of 404")
	b.open("/upload")
	folder := t.TempDir()
	empty, text, stream, large, other := filepath.Join(folder, "a.mp4"), filepath.Join(folder, "b.txt"), filepath.Join(folder, "e.ts"), filepath.Join(folder, "c.mp4"), filepath.Join(folder, "d.mp4")
	for path, size := range map[string]int{empty: 0, text: 3, stream: 3, large: 1<<20 + 1, other: 200_000} {
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.choose(empty, text, stream, large, other)
	b.until(`[...document.querySelectorAll("#uploads .failed .state")].map((e) => e.textContent).join(" ") ===
		"“a.mp4”: The file is empty. “b.txt”: This is not a video. “e.ts”: This is not a format that browsers play. “c.mp4”: The video is too large. At most 1 MB are allowed. “d.mp4”: This is not a video in a format that browsers play."`)
	b.until(`document.querySelectorAll("#uploads .retry:not([hidden]), #uploads .cancel:not([hidden])").length === 0`)
	if n := s.count("POST"); n != 1 {
		t.Errorf("%d uploads were created", n)
	}
	s.set(func() { s.rejected = "" })
	b.choose(other)
	b.until(`document.querySelectorAll("#uploads li.done a").length === 1 && document.querySelectorAll("#uploads .failed").length === 5`)
	b.until(row + `.querySelector(".thumb").dataset.initial === "A"`)
	s.set(func() {
		for id, up := range s.uploads {
			if up.poster || up.duration != "" {
				t.Errorf("a file without pictures came as %s %+v", id, up)
			}
		}
	})
}

// TestBrowserBlankTitle: the page says of which file the title is, and takes the title from its name again.
func TestBrowserBlankTitle(t *testing.T) {
	s := newFakeUpload(t)
	b := newTab(startBrowser(t), t, s.start())
	empty := filepath.Join(t.TempDir(), "a b.mp4")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for language, want := range map[string]string{
		"en": "A title must not be blank. It comes from the file “a b.mp4” again.",
		"ko": "제목은 비워 둘 수 없습니다. “a b.mp4” 파일의 이름을 다시 사용합니다.",
	} {
		b.speaks(language)
		b.open("/upload")
		b.choose(empty)
		b.until(row + `?.querySelector(".title").value === "a b"`)
		b.do("clear the title", chromedp.Evaluate[chromedp.Void](row+`.querySelector(".title").select()`))
		b.keys("  \t")
		b.until(fmt.Sprintf(row+`.querySelector(".title").validationMessage === %q && `+row+`.querySelector(".title").value === "a b"`, want))
	}
}

// TestBrowserUploadWithoutLibrary: while metadata is down, the page does not say that the video is in the library.
func TestBrowserUploadWithoutLibrary(t *testing.T) {
	s := newFakeUpload(t)
	s.away = true
	b := newTab(startBrowser(t), t, s.start())
	b.expectErrors("status of 503", "status of 404")
	b.open("/upload")
	b.choose(sample(t))
	if err := chassistest.Poll(soon, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.pages < 2 {
			return fmt.Errorf("metadata was asked %d times", s.pages)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if got := look(b, row+`.querySelector(".state").textContent`); got != "Stored. It will be in the library in a moment." {
		t.Errorf("without the library the page says %q", got)
	}
	s.set(func() { s.away = false })
	b.until(row + `.querySelector(".state").textContent.startsWith("In the library.")`)
}

func TestBrowserUploadCancelled(t *testing.T) {
	s := newFakeUpload(t)
	s.cut = 100_000 // so that it does not end
	b := newTab(startBrowser(t), t, s.start())
	b.expectErrors("status of 502")
	b.open("/upload")
	b.choose(sample(t), sample(t))
	b.until(row + `.querySelector(".state").textContent.includes("Trying again")`)
	b.do("cancel the second", chromedp.Click(chromedp.CSS("#uploads li:last-child .cancel")))
	b.do("cancel the first", chromedp.Click(chromedp.CSS("#uploads li:first-child .cancel")))
	b.until(`[...document.querySelectorAll("#uploads .failed .state")].map((e) => e.textContent).join(" ") === "Cancelled Cancelled"`)
	if err := chassistest.Poll(soon, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.uploads) != 0 {
			return fmt.Errorf("left over: %v", s.uploads)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if got := look(b, `document.activeElement.outerHTML.slice(0, 300)`); !strings.Contains(got, "retry") {
		t.Errorf("the focus is at %q", got)
	}
	s.set(func() { s.cut = 0 })
	b.do("send the first after all", chromedp.Click(chromedp.CSS("#uploads li:first-child .retry")))
	b.until(`document.querySelectorAll("#uploads li.done a").length === 1`)
}

// TestBrowserUploadCancelledTooLate: the page does not say of a published video that it was cancelled.
func TestBrowserUploadCancelledTooLate(t *testing.T) {
	browser := startBrowser(t)
	for _, late := range []int{http.StatusConflict, http.StatusNotFound} {
		s := newFakeUpload(t)
		s.check, s.late = make(chan struct{}), late
		b := newTab(browser, t, s.start())
		b.expectErrors(fmt.Sprintf("status of %d", late))
		resume := sync.OnceFunc(func() { close(s.check) })
		t.Cleanup(resume)
		b.open("/upload")
		b.choose(sample(t))
		b.until(row + `.querySelector(".state").textContent === "Checking" && ` + row + `.querySelector(".cancel").hidden`)
		b.do("cancel as the last bytes go", chromedp.Evaluate[chromedp.Void](row+`.querySelector(".cancel").click()`))
		b.until(row + `.querySelector("a") !== null && ` + row + `.classList.contains("done") && !` + row + `.classList.contains("failed")`)
		if n := s.count("DELETE"); n != 1 {
			t.Errorf("the upload was deleted %d times, and answered %d", n, late)
		}
		resume()
		b.choose(sample(t)) // the queue continues
		b.until(`document.querySelectorAll("#uploads li.done a").length === 2`)
		if n := s.count("POST"); n != 2 {
			t.Errorf("%d uploads were created for a file that was sent twice", n)
		}
	}
}

// TestBrowserUploadCancelledUnheard: a server that does not answer the DELETE delays nothing.
func TestBrowserUploadCancelledUnheard(t *testing.T) {
	s := newFakeUpload(t)
	s.cut, s.unheard = 100_000, make(chan struct{})
	b := newTab(startBrowser(t), t, s.start())
	t.Cleanup(func() { close(s.unheard) })
	b.expectErrors("status of 502")
	b.open("/upload")
	b.choose(sample(t))
	b.until(row + `.querySelector(".state").textContent.includes("Trying again")`)
	b.until(`document.querySelector("#said[role=status]").textContent.includes("Trying again")`) // for screen readers
	// The button is hidden while a try has sent all bytes.
	b.until(`!document.querySelector(".cancel").hidden && (document.querySelector(".cancel").click(), true)`)
	s.set(func() { s.cut = 0 })
	b.do("send it after all", chromedp.Click(chromedp.CSS(".retry")))
	b.until(`document.querySelectorAll("#uploads li.done a").length === 1`)
}

func look(b tab, js string) string {
	b.t.Helper()
	got, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](js))
	if err != nil {
		b.t.Fatal(err)
	}
	return got
}
