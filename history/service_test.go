package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/database"
	"flixtube/chassis/messaging"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
	"flixtube/contracts/limits"
)

func request(h http.Handler, method, target, body, viewer string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, target, strings.NewReader(body))
	if viewer != "" {
		req.Header.Set(web.ViewerHeader, viewer)
	}
	res := httptest.NewRecorder()
	h.ServeHTTP(res, req)
	return res
}

func TestViewedThenHistory(t *testing.T) {
	s := newTestStore(t)
	h := chassistest.Documented(t, newHandler(s, slog.New(slog.DiscardHandler)))
	for _, body := range []string{
		`{"id":"1","viewedAt":"2026-01-02T03:04:05Z","viewer":{"id":"ann"},"video":{"id":"x"}}`,
		`{"id":"2","viewedAt":"2026-01-02T03:04:06Z","viewer":{"id":"bob"},"video":{"id":"y"}}`,
		`{"id":"1","viewedAt":"2026-01-02T03:04:05Z","viewer":{"id":"ann"},"video":{"id":"x"}}`,
	} {
		if res := request(h, http.MethodPost, "/viewed", body, ""); res.Code != http.StatusNoContent {
			t.Fatalf("POST /viewed: %d %s", res.Code, res.Body)
		}
	}
	const ann = `{"_id":"1","videoId":"x","viewedAt":"2026-01-02T03:04:05Z","viewer":"ann"}`
	const bob = `{"_id":"2","videoId":"y","viewedAt":"2026-01-02T03:04:06Z","viewer":"bob"}`
	for _, test := range []struct{ target, viewer, want string }{
		{"/history", "", `{"history":[` + bob + "," + ann + `]}`},
		{"/history", "ann", `{"history":[` + ann + `]}`},
		{"/history", "eve", `{"history":[]}`},
		{"/history?skip=1&limit=1", "", `{"history":[` + ann + `]}`},
		{"/history?limit=0", "", `{"history":[]}`},
		{"/history?limit=100000", "bob", `{"history":[` + bob + `]}`},
	} {
		res := request(h, http.MethodGet, test.target, "", test.viewer)
		if got := strings.TrimSpace(res.Body.String()); res.Code != http.StatusOK || got != test.want {
			t.Errorf("GET %s as %q: %d\ngot  %s\nwant %s", test.target, test.viewer, res.Code, got, test.want)
		}
	}
}

// TestDirectIsLogged: a view that comes directly leaves the line that one from a queue does.
func TestDirectIsLogged(t *testing.T) {
	var out bytes.Buffer
	h := newHandler(newTestStore(t), slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	body := fmt.Sprintf(`{"id":"one","viewedAt":%q,"viewer":{"id":"ann"},"video":{"id":"x"}}`, time.Now().Add(-1500*time.Millisecond).UTC().Format(time.RFC3339Nano))
	if res := request(h, "POST", "/viewed", body, ""); res.Code != http.StatusNoContent {
		t.Fatalf("%d %s", res.Code, res.Body)
	}
	if !regexp.MustCompile(`msg="fact handled" id=one delivery=direct delay_ms=\d{4,}\n`).MatchString(out.String()) {
		t.Errorf("the log is\n%s", &out)
	}
}

func TestBadRequests(t *testing.T) {
	h := chassistest.Documented(t, newHandler(unreachable(t), slog.New(slog.DiscardHandler)))
	for _, test := range []struct {
		method, target, body string
		want                 int
	}{
		{"POST", "/viewed", ``, 400},
		{"POST", "/viewed", `{`, 400},
		{"POST", "/viewed", `{"id":"1"}`, 400},
		{"POST", "/viewed", `{"video":{"id":["x"]}}`, 400},
		{"POST", "/viewed", `{"video":{"id":"` + strings.Repeat("x", limits.ID+1) + `"}}`, 400},
		{"POST", "/viewed", `{"video":{"id":"x"},"a":"` + strings.Repeat("x", messaging.MaxBody) + `"}`, 413},
		{"GET", "/history?skip=-1", "", 400},
		{"GET", "/history?skip=x", "", 400},
		{"GET", "/history?limit=-1", "", 400},
		{"GET", "/history?limit=1e3", "", 400},
		{"GET", "/history?limit=99999999999999999999", "", 400},
		{"GET", "/viewed", "", 405},
		{"GET", "/nothing", "", 404},
	} {
		res := request(h, test.method, test.target, test.body, "")
		if res.Code != test.want || message(res) == "" {
			t.Errorf("%s %s %.40s: %d %s, want %d and why", test.method, test.target, test.body, res.Code, res.Body, test.want)
		}
	}
}

func TestDatabaseDown(t *testing.T) {
	h := chassistest.Documented(t, newHandler(unreachable(t), slog.New(slog.DiscardHandler)))
	for _, test := range []struct {
		method, target string
		want           int
	}{
		{"POST", "/viewed", 503},
		{"GET", "/history", 500},
		{"DELETE", "/history", 500},
		{"DELETE", "/viewed?id=x", 500},
		{"PUT", "/position?video=x", 500},
		{"GET", "/position?video=x", 500},
		{"GET", "/positions", 500},
	} {
		res := request(h, test.method, test.target, `{"video":{"id":"x"},"position":1,"duration":2}`, "ann")
		if res.Code != test.want || message(res) == "" || strings.Contains(res.Body.String(), "disconnected") {
			t.Errorf("%s %s: %d %s, want %d without internals", test.method, test.target, res.Code, res.Body, test.want)
		}
	}
}

func TestOneViewersOwn(t *testing.T) {
	s := newTestStore(t)
	h := chassistest.Documented(t, newHandler(s, slog.New(slog.DiscardHandler)))
	const x = `{"id":"1","viewedAt":"2026-01-02T03:04:05Z","viewer":{"id":"ann"},"video":{"id":"x"}}`
	const y = `{"id":"2","viewedAt":"2026-01-02T03:04:06Z","viewer":{"id":"ann"},"video":{"id":"y"}}`
	for _, step := range []struct {
		method, target, viewer, body string
		status                       int
		want                         string // part of the answer
	}{
		{"PUT", "/position?video=x", "ann", `{"position":90.5,"duration":100}`, 204, ""},
		{"GET", "/position?video=x", "ann", "", 200, `{"position":{"videoId":"x","position":90.5,"duration":100,"savedAt":"`},
		{"GET", "/position?video=x", "bob", "", 404, "no position"},
		{"PUT", "/position?video=x", "ann", `{"position":12,"duration":100,"more":[]}`, 204, ""},
		{"PUT", "/position?video=y", "ann", `{"position":1,"duration":2}`, 204, ""},
		{"GET", "/positions", "ann", "", 200, `{"positions":[{"videoId":"y","position":1,`},
		{"GET", "/positions?skip=1", "ann", "", 200, `{"positions":[{"videoId":"x","position":12,`},
		{"GET", "/positions?limit=0", "ann", "", 200, `{"positions":[]}`},
		{"GET", "/positions", "bob", "", 200, `{"positions":[]}`},
		{"POST", "/viewed", "", x, 204, ""},
		{"POST", "/viewed", "", y, 204, ""},
		{"GET", "/history?limit=1&skip=1", "ann", "", 200, `"viewer":"ann","position":12,"duration":100}]}`},
		{"DELETE", "/viewed?id=1", "bob", "", 404, "no such view"},
		{"DELETE", "/viewed?id=none", "ann", "", 404, "no such view"},
		{"DELETE", "/viewed?id=1", "ann", "", 204, ""},
		{"DELETE", "/viewed?id=1", "ann", "", 204, ""},
		{"POST", "/viewed", "", x, 204, ""}, // a late duplicate
		{"GET", "/history", "ann", "", 200, `{"history":[{"_id":"2","videoId":"y","viewedAt":"2026-01-02T03:04:06Z","viewer":"ann","position":1,"duration":2}]}`},
		{"GET", "/positions", "ann", "", 200, `{"positions":[{"videoId":"y"`},
		{"DELETE", "/history", "bob", "", 204, ""},
		{"GET", "/history", "ann", "", 200, `[{"_id":"2"`},
		{"DELETE", "/history", "ann", "", 204, ""},
		{"POST", "/viewed", "", y, 204, ""},
		{"GET", "/history", "ann", "", 200, `{"history":[]}`},
		{"GET", "/history", "", "", 200, `{"history":[]}`},
		{"GET", "/positions", "ann", "", 200, `{"positions":[]}`},
	} {
		res := request(h, step.method, step.target, step.body, step.viewer)
		if res.Code != step.status || !strings.Contains(res.Body.String(), step.want) {
			t.Fatalf("%s %s %s as %q: %d %s\nwant %d %s", step.method, step.target, step.body, step.viewer, res.Code, res.Body, step.status, step.want)
		}
	}
}

func TestBadRequestsOfAViewer(t *testing.T) {
	h := chassistest.Documented(t, newHandler(unreachable(t), slog.New(slog.DiscardHandler)))
	const good = `{"position":1,"duration":2}`
	for _, test := range []struct {
		method, target, viewer, body string
		want                         int
	}{
		{"PUT", "/position?video=x", "", good, 401},
		{"PUT", "/position?video=x", "a b", good, 401},
		{"PUT", "/position", "ann", good, 400},
		{"PUT", "/position?video=%ff", "ann", good, 400},
		{"PUT", "/position?video=" + strings.Repeat("x", limits.ID+1), "ann", good, 400},
		{"PUT", "/position?video=x", "ann", ``, 400},
		{"PUT", "/position?video=x", "ann", `{"position":"1","duration":2}`, 400},
		{"PUT", "/position?video=x", "ann", `{"position":-1,"duration":2}`, 400},
		{"PUT", "/position?video=x", "ann", `{"position":9,"duration":2}`, 400},
		{"PUT", "/position?video=x", "ann", `{"position":0}`, 400},
		{"PUT", "/position?video=x", "ann", `{"position":1,"duration":1e300}`, 400},
		{"PUT", "/position?video=x", "ann", good + strings.Repeat(" ", maxPosition), 413},
		{"GET", "/position?video=x", "", "", 401},
		{"GET", "/position", "ann", "", 400},
		{"GET", "/positions", "", "", 401},
		{"GET", "/positions?limit=x", "ann", "", 400},
		{"DELETE", "/history", "", "", 401},
		{"DELETE", "/viewed?id=x", "", "", 401},
		{"DELETE", "/viewed", "ann", "", 400},
	} {
		if res := request(h, test.method, test.target, test.body, test.viewer); res.Code != test.want || message(res) == "" {
			t.Errorf("%s %s %.40s as %q: %d %s, want %d", test.method, test.target, test.body, test.viewer, res.Code, res.Body, test.want)
		}
	}
}

// TestErrorCodes: each error names its code, and what its message has in it.
func TestErrorCodes(t *testing.T) {
	s := newTestStore(t)
	h := chassistest.Documented(t, newHandler(s, slog.New(slog.DiscardHandler)))
	const videoID = `{"error":"video.id must be 1 to 200 bytes of UTF-8","code":"invalid_id","args":{"max":200,"name":"video.id"}}`
	for _, test := range []struct{ method, target, viewer, body, want string }{
		{"POST", "/viewed", "", `{"id":"1"}`, videoID},
		{"POST", "/viewed", "", `{`, `"code":"invalid_message"`},
		{"POST", "/viewed", "", `{"viewedAt":"0000-01-01T00:00:00+01:00","video":{"id":"x"}}`, `"code":"invalid_message"`},
		{"GET", "/history", "a b", "", `"code":"invalid_viewer","args":{"name":"X-Viewer-Id"}`},
		{"DELETE", "/viewed", "ann", "", `{"error":"id must be 1 to 200 bytes of UTF-8","code":"invalid_id","args":{"max":200,"name":"id"}}`},
		{"DELETE", "/viewed?id=none", "ann", "", `"code":"view_not_found"`},
		{"GET", "/position?video=%ff", "ann", "", `"code":"invalid_id","args":{"max":200,"name":"video"}`},
		{"GET", "/position?video=none", "ann", "", `"code":"position_not_found"`},
		{"PUT", "/position", "ann", `{"position":1,"duration":2}`, `"args":{"max":200,"name":"video"}`},
		{"PUT", "/position?video=x", "ann", `[]`, `"code":"invalid_body"`},
		{"PUT", "/position?video=x", "ann", `{"position":3.1,"duration":2}`, `"code":"invalid_position"`},
		{"PUT", "/position?video=x", "ann", `{"position":1,"duration":1e8}`, `at most 10000000 seconds","code":"invalid_duration","args":{"max":10000000}`},
	} {
		res := request(h, test.method, test.target, test.body, test.viewer)
		if !strings.Contains(res.Body.String(), test.want) {
			t.Errorf("%s %s %s: %s, want %s", test.method, test.target, test.body, res.Body, test.want)
		}
	}
	down := request(chassistest.Documented(t, newHandler(unreachable(t), slog.New(slog.DiscardHandler))), "POST", "/viewed", `{"video":{"id":"x"}}`, "")
	if !strings.Contains(down.Body.String(), `"code":"`+codes.ViewNotStored+`"`) {
		t.Errorf("without a database: %s", down.Body)
	}
}

// message is what an error answer says.
func message(res *httptest.ResponseRecorder) string {
	var answer struct{ Error string }
	_ = json.Unmarshal(res.Body.Bytes(), &answer)
	return answer.Error
}

// unreachable returns a store whose database answers nothing, which its errors say at once.
func unreachable(t *testing.T) *store {
	t.Helper()
	db, err := database.Connect("mongodb://127.0.0.1:1", "none")
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.ready(t.Context()); !errors.Is(err, mongo.ErrClientDisconnected) {
		t.Fatal(err)
	}
	return s
}
