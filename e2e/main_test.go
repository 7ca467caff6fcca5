//go:build unix

package e2e

import (
	"context"
	"crypto/rand"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
	"flixtube/flixtube/launch"
)

// Systems that take long to start are shared by the tests: the first test that needs one starts it, and it stops after
// the last test. A test that changes one changes it back.

var (
	work   string   // a folder for all tests
	bin    string   // in it, that of the programs
	atExit []func() // to do after the last test
)

func TestMain(m *testing.M) {
	var err error
	if work, err = os.MkdirTemp("", "flixtube-e2e-"); err != nil {
		panic(err)
	}
	bin = filepath.Join(work, "bin")
	code := m.Run()
	for _, f := range slices.Backward(atExit) {
		f()
	}
	_ = os.RemoveAll(work)
	os.Exit(code)
}

// lasting is the first test that needs something shared. Its cleanups wait for the last test.
type lasting struct{ testing.TB }

func (lasting) Cleanup(f func()) { atExit = append(atExit, f) }

func (l lasting) TempDir() string {
	l.Helper()
	dir, err := os.MkdirTemp(work, "")
	if err != nil {
		l.Fatal(err)
	}
	return dir
}

// share returns a function that starts something for the first test that needs it, and returns it to all. If it did
// not start, it fails the other tests.
func share[T any](start func(tb testing.TB) T) func(tb testing.TB) T {
	var shared T
	var started, failed bool
	return func(tb testing.TB) T {
		tb.Helper()
		if failed {
			tb.Fatal("this test needs something that did not start for an earlier test")
		}
		if !started {
			defer func() { failed = !started && !tb.Skipped() }() // Fatal and Skip leave this function
			shared = start(lasting{tb})
			started = true
		}
		return shared
	}
}

// logs is the output of all systems: the log of the test that runs.
var logs testLog

type testLog struct {
	mu sync.Mutex
	w  io.Writer // nil between tests
}

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.w != nil {
		_, _ = l.w.Write(p)
	}
	return len(p), nil
}

func (l *testLog) set(w io.Writer) (before io.Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, l.w = l.w, w
	return before
}

// attach sends what systems log to t.
func (l *testLog) attach(t *testing.T) {
	before := l.set(t.Output())
	t.Cleanup(func() { l.set(before) })
}

// programs builds the services and the launcher, once, and returns their folder, bin.
var programs = share(func(tb testing.TB) string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if err := launch.Build(ctx, bin, launch.NewOutput(&logs)); err != nil {
		tb.Fatal(err)
	}
	if output, err := exec.CommandContext(ctx, "go", "build", "-o", bin, "flixtube/flixtube/launcher").CombinedOutput(); err != nil {
		tb.Fatalf("build the launcher: %v\n%s", err, output)
	}
	return bin
})

// newSite starts a FlixTube with the embedded servers, or those that vars name. Services that are named late are not
// started. programs goes before.
func newSite(tb testing.TB, vars map[string]string, late ...string) *site {
	tb.Helper()
	return newSiteOf(tb, bin, vars, late...)
}

// newSiteOf is newSite with the programs of another folder.
func newSiteOf(tb testing.TB, bin string, vars map[string]string, late ...string) *site {
	tb.Helper()
	data := filepath.Join(tb.TempDir(), "data")
	s := &site{began: time.Now()}
	all := map[string]string{}
	if vars["DBHOST"] == "" || vars["RABBIT"] == "" {
		all = chassistest.Servers(tb)
	}
	all["VIEWER_KEY"] = rand.Text() + rand.Text()
	maps.Copy(all, vars)
	if all["STORAGE_ENDPOINT"] == "" {
		s.videos = filepath.Join(data, "videos")
		all["VIDEOS_DIR"] = s.videos
	}
	var err error
	s.system, err = launch.New(launch.Options{Bin: bin, Data: data, Output: launch.NewOutput(&logs)})
	if err != nil {
		tb.Fatal(err)
	}
	s.url = s.system.URL
	s.system.Configure(all)
	tb.Cleanup(s.system.Stop)
	s.system.Start(slices.DeleteFunc(launch.Names(), func(name string) bool { return slices.Contains(late, name) })...)
	s.waitReady(tb)
	return s
}

var embeddedSite = share(func(tb testing.TB) *site { tb.Helper(); return newSite(tb, nil) })

var rabbitSite = share(func(tb testing.TB) *site {
	tb.Helper()
	azurite, rabbit := chassistest.Azurite(tb), chassistest.RabbitMQ(tb)
	s := newSite(tb, map[string]string{
		"RABBIT":           rabbit.URL,
		"STORAGE_ENDPOINT": azurite, "STORAGE_ACCOUNT_NAME": chassistest.AzuriteAccount, "STORAGE_ACCESS_KEY": chassistest.AzuriteKey,
	})
	s.rabbit = rabbit
	return s
})

// running is the address of a FlixTube that runs already, if there is one.
func running() string { return strings.TrimSuffix(os.Getenv("FLIXTUBE_URL"), "/") }

// anySite returns a FlixTube for a test that needs only its address.
func anySite(t *testing.T) *site {
	t.Helper()
	if running() != "" {
		return &site{url: running()}
	}
	return withEmbedded(t)
}

// startsOwn prepares a test that needs more than the address of a FlixTube which runs already.
func startsOwn(t *testing.T) {
	t.Helper()
	if running() != "" {
		t.Skip("this test starts a FlixTube of its own")
	}
	logs.attach(t)
	programs(t)
}

// withEmbedded returns a FlixTube with the embedded servers, whose services the test may stop and kill.
func withEmbedded(t *testing.T) *site {
	t.Helper()
	startsOwn(t)
	return embeddedSite(t)
}

// withRabbit is withEmbedded with RabbitMQ and Azurite.
func withRabbit(t *testing.T) *site {
	t.Helper()
	startsOwn(t)
	return rabbitSite(t)
}

// onEachSite runs a test that needs only an address with the embedded servers, and with RabbitMQ and Azurite.
func onEachSite(t *testing.T, test func(*testing.T, *site)) {
	t.Helper()
	if running() != "" {
		test(t, anySite(t))
		return
	}
	t.Run("embedded", func(t *testing.T) { test(t, withEmbedded(t)) })
	t.Run("RabbitMQ and Azurite", func(t *testing.T) { test(t, withRabbit(t)) })
}

// bigVideo returns a file that is large enough for players to fetch it in parts.
var bigVideo = share(func(tb testing.TB) string {
	tb.Helper()
	file := filepath.Join(work, "big.mp4")
	if output, err := exec.Command("../scripts/make-samples", "-big", file).CombinedOutput(); err != nil {
		tb.Fatalf("make-samples: %v\n%s", err, output)
	}
	return file
})
