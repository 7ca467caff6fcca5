package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"flixtube/chassis"
)

func request(h http.Handler, method, target, body, viewer string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, target, strings.NewReader(body))
	if viewer != "" {
		req.Header.Set(chassis.ViewerHeader, viewer)
	}
	res := httptest.NewRecorder()
	h.ServeHTTP(res, req)
	return res
}

func TestViewedThenHistory(t *testing.T) {
	h := newHandler(newTestStore(t), slog.New(slog.DiscardHandler))
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

func TestBadRequests(t *testing.T) {
	h := newHandler(&fakeStore{}, slog.New(slog.DiscardHandler))
	for _, test := range []struct {
		method, target, body string
		want                 int
	}{
		{"POST", "/viewed", ``, 400},
		{"POST", "/viewed", `{`, 400},
		{"POST", "/viewed", `{"id":"1"}`, 400},
		{"POST", "/viewed", `{"video":{"id":["x"]}}`, 400},
		{"POST", "/viewed", `{"video":{"id":"` + strings.Repeat("x", maxID+1) + `"}}`, 400},
		{"POST", "/viewed", `{"video":{"id":"x"},"a":"` + strings.Repeat("x", maxMessage) + `"}`, 413},
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
	h := newHandler(&fakeStore{errors.New("dial tcp 10.0.0.7: secret")}, slog.New(slog.DiscardHandler))
	for _, test := range []struct {
		method, target string
		want           int
	}{
		{"POST", "/viewed", 503},
		{"GET", "/history", 500},
	} {
		res := request(h, test.method, test.target, `{"video":{"id":"x"}}`, "")
		if res.Code != test.want || message(res) == "" || strings.Contains(res.Body.String(), "secret") {
			t.Errorf("%s %s: %d %s, want %d without internals", test.method, test.target, res.Code, res.Body, test.want)
		}
	}
}

// message is what an error answer says.
func message(res *httptest.ResponseRecorder) string {
	var answer struct{ Error string }
	_ = json.Unmarshal(res.Body.Bytes(), &answer)
	return answer.Error
}

type fakeStore struct{ err error }

func (f *fakeStore) record(context.Context, []viewed) error { return f.err }

func (f *fakeStore) list(context.Context, string, int64, int64) ([]view, error) { return nil, f.err }
