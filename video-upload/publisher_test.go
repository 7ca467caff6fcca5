package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/messaging"
	"flixtube/chassis/messaging/brokers"
	"flixtube/chassis/outbox"
	"flixtube/chassis/process"
	"flixtube/video-upload/internal/spool"
	"flixtube/video-upload/internal/video"
)

// TestMain runs the service itself for tests that kill it.
func TestMain(m *testing.M) {
	if os.Getenv("VIDEO_UPLOAD_RUNS") != "" { //nolint:forbidigo // no getenv is given here
		process.Main(run)
		return
	}
	os.Exit(m.Run())
}

// work runs the publisher until the end of the test.
func work(t *testing.T, u *testService) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- u.publisher.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func answering(status int) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { w.WriteHeader(status) }
}

// TestFinishedLater: if something fails after the last byte, the client has uploaded the video all the same. It is announced
// once everything works again, by this process or by one that is started later.
func TestFinishedLater(t *testing.T) {
	file := mp4(50_000)
	for what, test := range map[string]struct {
		fail, mend func(*testService, *fakeStorage, *fakeOutbox)
		once       bool // the bytes are sent
	}{
		"storage away": {
			func(u *testService, _ *fakeStorage, _ *fakeOutbox) { u.storage.Host = "127.0.0.1:1" },
			func(u *testService, f *fakeStorage, _ *fakeOutbox) {
				u.storage.Host = strings.TrimPrefix(f.URL, "http://")
			},
			false,
		},
		"storage full": {
			func(_ *testService, f *fakeStorage, _ *fakeOutbox) { f.answers(answering(507), nil) },
			func(_ *testService, f *fakeStorage, _ *fakeOutbox) { f.answers(nil, nil) },
			false,
		},
		"storage answers 400": {
			func(_ *testService, f *fakeStorage, _ *fakeOutbox) { f.answers(answering(400), nil) },
			func(_ *testService, f *fakeStorage, _ *fakeOutbox) { f.answers(nil, nil) },
			false,
		},
		"stored, and the answer is lost": {
			func(_ *testService, f *fakeStorage, _ *fakeOutbox) {
				f.answers(func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, nil)
			},
			func(_ *testService, f *fakeStorage, _ *fakeOutbox) { f.answers(answering(409), nil) },
			false,
		},
		"storage away for the poster": {
			func(_ *testService, f *fakeStorage, _ *fakeOutbox) { f.answers(nil, answering(503)) },
			func(_ *testService, f *fakeStorage, _ *fakeOutbox) { f.answers(nil, nil) },
			true,
		},
		"no answer about the poster": {
			func(_ *testService, f *fakeStorage, _ *fakeOutbox) {
				f.answers(nil, func(http.ResponseWriter) { panic(http.ErrAbortHandler) })
			},
			func(_ *testService, f *fakeStorage, _ *fakeOutbox) { f.answers(nil, nil) },
			true,
		},
		"outbox full": {
			func(_ *testService, _ *fakeStorage, b *fakeOutbox) { b.reject = outbox.ErrFull },
			func(_ *testService, _ *fakeStorage, b *fakeOutbox) { b.reject = nil },
			true,
		},
	} {
		for _, restarted := range []bool{false, true} {
			t.Run(fmt.Sprint(what, ", restarted: ", restarted), func(t *testing.T) {
				ann, u, storage, box := newTestClient(t, 1<<20)
				path := ann.create(len(file), "filename", "a.mp4", "duration", "5")
				ann.expect(204, ann.ask("PUT", path+"/poster", bytes.NewReader(jpegOf(t, 10, 10))))
				test.fail(u, storage, box)
				ann.expect(204, ann.patch(path, 0, bytes.NewReader(file)))
				u.scan(t) // which fails, too
				if n := ann.offset(path); n != len(file) || len(box.added()) != 0 {
					t.Fatalf("offset %d, announced %d times", n, len(box.added()))
				}
				ann.expect(409, ann.ask("DELETE", path, nil))
				test.mend(u, storage, box)
				if restarted {
					u = newTestUploads(t, u.dir, storage.URL, box, 1<<20)
				}
				work(t, u)
				eventually(t, "the video is announced and its file gone", func() bool {
					return len(box.added()) > 0 && len(names(t, u)) == 2
				})
				id := filepath.Base(path)
				facts := announced(t, box)
				want := video.Video{ID: id, Name: "a", ContentType: "video/mp4", Size: 50_000, Duration: 5, Poster: true}
				if len(facts) != 1 || facts[0].Video != want {
					t.Errorf("announced %+v", facts)
				}
				uploads, deleted := storage.seen()
				if len(uploads) == 0 || !bytes.Equal(uploads[len(uploads)-1].body, file) || len(deleted) != 0 || storage.posters[id] == nil ||
					test.once && len(uploads) != 1 {
					t.Errorf("sent %d times, deleted %v", len(uploads), deleted)
				}
				if n := ann.offset(path); n != len(file) {
					t.Errorf("offset %d", n)
				}
			})
		}
	}
}

// TestTheSameFact: a process that dies after it has announced a video announces it again, as the same fact.
func TestTheSameFact(t *testing.T) {
	ann, u, storage, box := newTestClient(t, 1<<20)
	path := ann.create(5000)
	ann.expect(204, ann.patch(path, 0, bytes.NewReader(mp4(4000))))
	data := u.path(filepath.Base(path), "")
	ann.expect(204, ann.patch(path, 4000, bytes.NewReader(mp4(1000))))
	// Restore the file, under the name that it has until the last step.
	at := announced(t, box)[0].UploadedAt
	err := errors.Join(os.Remove(u.path(filepath.Base(path), donePart)), os.WriteFile(data, append(mp4(4000), mp4(1000)...), 0o600), os.Chtimes(data, at, at))
	if err != nil {
		t.Fatal(err)
	}
	storage.stored = nil
	storage.answers(answering(409), nil)
	newTestUploads(t, u.dir, storage.URL, box, 1<<20).scan(t)
	if facts := box.added(); len(facts) != 2 || facts[0].ID != facts[1].ID || !bytes.Equal(facts[0].Body, facts[1].Body) {
		t.Errorf("announced %s", facts)
	}
}

// TestPosterRejected: the video is published without it.
func TestPosterRejected(t *testing.T) {
	for _, status := range []int{400, 404, 405, 413, 415, 500, 507} {
		ann, _, storage, box := newTestClient(t, 1<<20)
		storage.poster = answering(status)
		path := ann.create(5000)
		ann.expect(204, ann.ask("PUT", path+"/poster", bytes.NewReader(jpegOf(t, 10, 10))))
		ann.expect(204, ann.patch(path, 0, bytes.NewReader(mp4(5000))))
		if facts := announced(t, box); len(facts) != 1 || facts[0].Video.Poster {
			t.Errorf("%d: announced %+v", status, facts)
		}
	}
}

// TestStalledStorage: the last PATCH does not wait for a storage that reads nothing.
func TestStalledStorage(t *testing.T) {
	t.Parallel()
	storage, box := newFakeStorage(t), &fakeOutbox{}
	u := newTestUploads(t, t.TempDir(), storage.URL, box, 16<<20, timeouts{storage: time.Second, client: time.Minute})
	ann := serve(t, u)
	stall(t, u.storage)
	path := ann.create(16 << 20)
	ann.expect(204, ann.patch(path, 0, bytes.NewReader(mp4(16<<20))))
	if len(box.added()) != 0 {
		t.Fatal("announced")
	}
	newTestUploads(t, u.dir, storage.URL, box, 16<<20).scan(t)
	if len(box.added()) != 1 {
		t.Errorf("announced %d times", len(box.added()))
	}
}

// TestExpiry: uploads without progress are removed after a day, and nothing else is.
func TestExpiry(t *testing.T) {
	ann, u, storage, box := newTestClient(t, 1<<20)
	const keepFor = 24 * time.Hour
	age := func(path string, parts ...string) {
		then := time.Now().Add(-keepFor - time.Minute)
		for _, part := range parts {
			if err := os.Chtimes(u.path(filepath.Base(path), part), then, then); err != nil {
				t.Fatal(err)
			}
		}
	}
	begun := func() string {
		path := ann.create(5000)
		ann.expect(204, ann.patch(path, 0, bytes.NewReader(mp4(4000))))
		return path
	}
	old, slow, held, finished := begun(), begun(), begun(), begun()
	recent, orphan, empty, broken := begun(), begun(), begun(), begun()
	ann.expect(204, ann.ask("PUT", old+"/poster", bytes.NewReader(jpegOf(t, 10, 10))))
	age(old, "", infoPart, posterPart)
	age(slow, infoPart) // begun long ago, and bytes came a moment ago
	age(held, "", infoPart)
	lock := u.spool.Lock(filepath.Base(held))
	if got, err := lock.TryLock(); err != nil || !got {
		t.Fatal(got, err)
	}
	ann.expect(204, ann.patch(finished, 4000, bytes.NewReader(mp4(1000))))
	age(finished, infoPart, donePart)
	age(recent, infoPart)
	ann.expect(204, ann.patch(recent, 4000, bytes.NewReader(mp4(1000)))) // finished a moment ago, begun long ago
	if err := os.Remove(u.path(filepath.Base(orphan), infoPart)); err != nil {
		t.Fatal(err)
	}
	age(orphan, "", lockPart)
	if err := os.Remove(u.path(filepath.Base(empty), "")); err != nil {
		t.Fatal(err)
	}
	ann.expect(404, ann.ask("HEAD", empty, nil))
	age(empty, infoPart, lockPart)
	if err := os.WriteFile(u.path(filepath.Base(broken), infoPart), []byte(`{"ID":"`), 0o600); err != nil {
		t.Fatal(err)
	}
	ann.expect(404, ann.ask("HEAD", broken, nil))
	age(broken, "")
	storage.answers(answering(503), nil)
	whole := begun()
	ann.expect(204, ann.patch(whole, 4000, bytes.NewReader(mp4(1000))))
	age(whole, "", infoPart)              // the storage is away for long: it stays
	young := u.path(uuid.NewString(), "") // an upload that is just being created
	if err := os.WriteFile(young, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(u.dir, "outbox-0.db")
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	then := time.Now().Add(-2 * keepFor)
	if err := os.Chtimes(foreign, then, then); err != nil {
		t.Fatal(err)
	}

	u.scan(t)
	for path, left := range map[string]int{old: 0, finished: 0, orphan: 0, empty: 0, broken: 0, slow: 3, held: 3, recent: 3, whole: 3} {
		files, err := filepath.Glob(u.path(filepath.Base(path), "*"))
		if err != nil || len(files) != left {
			t.Errorf("left: %v, %v, want %d", files, err, left)
		}
	}
	for _, left := range []string{young, foreign} {
		if _, err := os.Stat(left); err != nil {
			t.Error(err)
		}
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	storage.answers(nil, nil)
	u.scan(t)
	ann.expect(404, ann.ask("HEAD", held, nil))
	if len(box.added()) != 3 {
		t.Errorf("announced %d videos of 3", len(box.added()))
	}
}

// openSpool looks into the spool of another process.
func openSpool(t *testing.T, dir string) *testService {
	t.Helper()
	uploads, err := spool.Open(dir, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return &testService{service: &service{spool: uploads}, dir: dir}
}

// startProcess starts the service as a process of its own. kill does so without a warning.
func startProcess(t *testing.T, vars map[string]string) (address string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "VIDEO_UPLOAD_RUNS=1", "HOST=127.0.0.1", "PORT=0")
	for name, value := range vars {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	t.Cleanup(kill)
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if _, found, ok := strings.Cut(lines.Text(), "msg=listening addr="); ok {
			go func() {
				for lines.Scan() { // the pipe must not fill
				}
			}()
			return "http://" + found, kill
		}
	}
	t.Fatal("the service does not listen")
	return "", nil
}

// TestKilled kills the process at each step of publishing. The next one completes it: the video is stored, and announced
// as one fact.
func TestKilled(t *testing.T) {
	t.Parallel()
	rabbit := chassistest.JetStream(t)
	broker, err := brokers.Connect(rabbit)
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	session, err := broker.Open(t.Context(), messaging.Queue{Name: "killed", Exchange: "video-uploaded"}, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	for _, step := range []string{"in a chunk", "before it is stored", "after it is stored", "before the poster", "after the poster"} {
		t.Run(step, func(t *testing.T) {
			storage := newFakeStorage(t)
			var at atomic.Pointer[string] // the step that kills
			at.Store(&step)
			reached, killed := make(chan struct{}), make(chan struct{})
			var stored atomic.Bool
			stop := func(here string) {
				if *at.Load() == here {
					at.Store(new(string))
					close(reached)
					<-killed
					panic(http.ErrAbortHandler)
				}
			}
			storage.answer = func(w http.ResponseWriter) {
				stop("before it is stored")
				status := http.StatusCreated
				if stored.Swap(true) {
					status = http.StatusConflict
				}
				stop("after it is stored")
				w.WriteHeader(status)
			}
			storage.poster = func(w http.ResponseWriter) {
				stop("before the poster")
				stop("after the poster")
				w.WriteHeader(http.StatusNoContent)
			}
			vars := map[string]string{"RABBIT": rabbit, "OUTBOX_DIR": t.TempDir(), "VIDEO_STORAGE_URL": storage.URL}
			address, kill := startProcess(t, vars)
			ann := client{t, address, "ann"}
			path := ann.create(50_000)
			id := filepath.Base(path)
			ann.expect(204, ann.ask("PUT", path+"/poster", bytes.NewReader(jpegOf(t, 10, 10))))
			u := openSpool(t, filepath.Join(vars["OUTBOX_DIR"], "unfinished"))
			rest := 0
			if step == "in a chunk" {
				ann.begin(u, path, 0, mp4(50_000)[:20_000], 50_000)
				rest = 20_000
			} else {
				conn := ann.begin(u, path, 0, mp4(50_000), 50_000)
				defer conn.Close()
				<-reached
			}
			kill()
			close(killed)

			ann.address, _ = startProcess(t, vars)
			if rest > 0 {
				ann.expect(204, ann.patch(path, ann.offset(path), bytes.NewReader(mp4(50_000)[rest:])))
			}
			for waited := time.After(30 * time.Second); ; {
				select {
				case d := <-session.Deliveries():
					if err := session.Ack([]messaging.Delivery{d}); err != nil {
						t.Fatal(err)
					}
					if strings.Contains(string(d.Body), id) {
						if !strings.Contains(string(d.Body), `"poster":true`) || !stored.Load() {
							t.Errorf("announced %s", d.Body)
						}
						eventually(t, "the file is gone", func() bool { return len(names(t, u)) == 2 })
						if n := ann.offset(path); n != 50_000 {
							t.Errorf("offset %d", n)
						}
						return
					}
				case <-waited:
					t.Fatal("not announced")
				}
			}
		})
	}
}

// TestStopped: the bytes of a PATCH in progress are kept when the service stops.
func TestStopped(t *testing.T) {
	t.Parallel()
	storage := newFakeStorage(t)
	dir := t.TempDir()
	vars := map[string]string{
		"RABBIT": chassistest.JetStream(t), "OUTBOX_DIR": t.TempDir(), "UPLOADS_DIR": dir, "VIDEO_STORAGE_URL": storage.URL,
	}
	address, stop := chassistest.StartStop(t, run, vars)
	ann := client{t, address, "ann"}
	path := ann.create(50_000)
	u := openSpool(t, dir)
	conn := ann.begin(u, path, 0, mp4(50_000)[:20_000], 50_000)
	go stop()
	stopsListening(t, address)
	if _, err := conn.Write(mp4(50_000)[20_000:30_000]); err != nil {
		t.Fatal(err)
	}
	stop()
	ann.address = chassistest.Start(t, run, vars)
	if n := ann.offset(path); n != 30_000 {
		t.Errorf("offset %d", n)
	}
	ann.expect(204, ann.patch(path, 30_000, bytes.NewReader(mp4(50_000)[30_000:])))
	if uploads, _ := storage.seen(); len(uploads) != 1 || uploads[0].err != nil || len(uploads[0].body) != 50_000 {
		t.Errorf("stored %d", len(uploads))
	}
}

// TestUploadsDir: by default the service keeps uploads beside its outbox.
func TestUploadsDir(t *testing.T) {
	vars := map[string]string{"PORT": "0", "RABBIT": "nats://127.0.0.1:1", "OUTBOX_DIR": "o"}
	cfg, err := readConfig(chassistest.Env(vars))
	vars["UPLOADS_DIR"] = "u"
	own, ownErr := readConfig(chassistest.Env(vars))
	if cfg.uploadsDir != filepath.Join("o", "unfinished") || own.uploadsDir != "u" || errors.Join(err, ownErr) != nil {
		t.Errorf("%q, %q, %v, %v", cfg.uploadsDir, own.uploadsDir, err, ownErr)
	}
}
