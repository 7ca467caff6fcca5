package main

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/httpclient"
	"flixtube/chassis/messaging"
	"flixtube/contracts"
)

// fakeHistory answers with the statuses it is given, then with 204.
type fakeHistory struct {
	mu       sync.Mutex
	statuses []int
	got      []string
}

func (h *fakeHistory) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.got = append(h.got, strings.Join([]string{req.Method, req.URL.Path, req.Header.Get("Content-Type"), string(body)}, " "))
	status := http.StatusNoContent
	if len(h.statuses) > 0 {
		status, h.statuses = h.statuses[0], h.statuses[1:]
	}
	w.Header().Set("Location", "/elsewhere")
	w.WriteHeader(status)
}

func (h *fakeHistory) posts() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.got...)
}

func TestDirect(t *testing.T) {
	for _, test := range []struct {
		statuses []int
		posts    int
		ok       bool
	}{
		{[]int{200, 201, 204}, 3, true},
		{[]int{400, 422, 413}, 3, true}, // rejected for good
		{[]int{401}, 1, false},          // not the message's fault, as all others
		{[]int{404}, 1, false},
		{[]int{204, 500}, 2, false},
		{[]int{503}, 1, false},
		{[]int{429}, 1, false},
		{[]int{408}, 1, false},
		{[]int{302}, 1, false},
	} {
		history := &fakeHistory{statuses: test.statuses}
		server := httptest.NewServer(history)
		var logged strings.Builder
		send := direct(httpclient.NewTransport(), server.URL+"/viewed", slog.New(slog.NewTextHandler(&logged, nil)))
		err := send(t.Context(), []messaging.Message{{Body: []byte("1")}, {Body: []byte("2")}, {Body: []byte("3")}})
		if (err == nil) != test.ok {
			t.Errorf("%v: error %v", test.statuses, err)
		}
		got := history.posts()
		if len(got) != test.posts {
			t.Errorf("%v: %d posts, want %d", test.statuses, len(got), test.posts)
		}
		for i, post := range got {
			if want := fmt.Sprint("POST /viewed application/json ", i+1); post != want {
				t.Errorf("posted %q, want %q", post, want)
			}
		}
		if rejected := test.statuses[0] == 400; strings.Contains(logged.String(), "body=1") != rejected {
			t.Errorf("%v: logged %s", test.statuses, &logged)
		}
		server.Close()
		if err := send(t.Context(), make([]messaging.Message, 1)); err == nil {
			t.Error("no error without history")
		}
	}
}

// TestRunDirect: a view reaches history through the outbox, although history fails at first and the service
// is stopped in between.
func TestRunDirect(t *testing.T) {
	history := &fakeHistory{statuses: []int{500}}
	server := httptest.NewServer(history)
	defer server.Close()
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	vars := map[string]string{
		"VIEWED_DELIVERY": "direct", "HISTORY_URL": down.URL, "VIDEO_STORAGE_URL": newStorage(t).URL + "/", "OUTBOX_DIR": t.TempDir(),
	}
	base, stop := chassistest.StartStop(t, run, vars)
	if res, body := call(t, "GET", base+"/video?id=ten&view="+viewA); res.StatusCode != 200 || body != video {
		t.Errorf("%s %q", res.Status, body)
	}
	if res, body := call(t, "GET", base+"/readyz"); res.StatusCode != 200 || !strings.Contains(body, `"history":"down"`) {
		t.Errorf("readyz: %s %s", res.Status, body)
	}
	stop()
	vars["HISTORY_URL"] = server.URL
	chassistest.Start(t, run, vars)
	err := chassistest.Poll(30*time.Second, func() error {
		if posts := history.posts(); len(posts) < 2 {
			return fmt.Errorf("history got %v", posts)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, post := range history.posts() {
		if !strings.HasPrefix(post, `POST /viewed application/json {"id":"`+viewA+`"`) {
			t.Errorf("history got %s", post)
		}
	}
}

// TestRunFanout: without the broker the videos play on.
func TestRunFanout(t *testing.T) {
	storage := newStorage(t)
	base := chassistest.Start(t, run, map[string]string{
		"RABBIT": "amqp://guest:guest@127.0.0.1:1", "VIDEO_STORAGE_URL": storage.URL, "OUTBOX_DIR": t.TempDir(),
	})
	if res, body := call(t, "GET", base+"/video?id=ten"); res.StatusCode != 200 || body != video {
		t.Errorf("%s %q", res.Status, body)
	}
	if res, body := call(t, "GET", base+"/readyz"); res.StatusCode != 200 || !strings.Contains(body, `"broker":"down"`) {
		t.Errorf("readyz: %s %s", res.Status, body)
	}
	storage.Close()
	if res, body := call(t, "GET", base+"/readyz"); res.StatusCode != 503 || !strings.Contains(body, `"video-storage":"down"`) {
		t.Errorf("readyz: %s %s", res.Status, body)
	}
}

func TestReadConfig(t *testing.T) {
	for _, test := range []struct{ vars, want string }{
		{"", "missing environment variables: PORT, OUTBOX_DIR, RABBIT"},
		{"VIEWED_DELIVERY=direct", "missing environment variables: PORT, OUTBOX_DIR"},
		{"PORT=1 OUTBOX_DIR=d RABBIT=r", ""},
		{"PORT=1 OUTBOX_DIR=d RABBIT=r VIEWED_DELIVERY=queue", ""},
		{"PORT=1 OUTBOX_DIR=d VIEWED_DELIVERY=direct", ""},
		{"PORT=1 OUTBOX_DIR=d RABBIT=r VIEWED_DELIVERY=pigeon", "VIEWED_DELIVERY must be direct, queue or fanout"},
		{"PORT=1 OUTBOX_DIR=d RABBIT=r OUTBOX_LIMIT=0", "OUTBOX_LIMIT must be a whole number above 0"},
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
	chassistest.RejectsBroker(t, run, map[string]string{"OUTBOX_DIR": t.TempDir()})
}

// TestDeliveries: the launcher checks VIEWED_DELIVERY by the list in contracts before it starts this service.
func TestDeliveries(t *testing.T) {
	known := append(slices.Collect(maps.Keys(destinations)), "direct")
	slices.Sort(known)
	want := contracts.Deliveries()
	slices.Sort(want)
	if !slices.Equal(known, want) {
		t.Errorf("it knows %q, contracts lists %q", known, want)
	}
}
