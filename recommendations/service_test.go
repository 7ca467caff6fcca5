package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/web"
	"flixtube/contracts/limits"
)

var discard = slog.New(slog.DiscardHandler)

// get returns the status of GET target and its recommendations, as in "co-viewed:x popular:y".
func get(h http.Handler, target, viewer string) (int, string) {
	req := httptest.NewRequest(http.MethodGet, target, nil)
	req.Header.Set(web.ViewerHeader, viewer)
	res := httptest.NewRecorder()
	h.ServeHTTP(res, req)
	var answer struct{ Recommendations []recommendation }
	if json.Unmarshal(res.Body.Bytes(), &answer) != nil || answer.Recommendations == nil {
		return res.Code, res.Body.String()
	}
	var found []string
	for _, r := range answer.Recommendations {
		found = append(found, r.Reason+":"+r.VideoID)
	}
	return res.Code, strings.Join(found, " ")
}

// TestRecommendations stores views and asks over HTTP, with a metadata service.
func TestRecommendations(t *testing.T) {
	catalogue := newTestMetadata(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"videos":[{"_id":"n2","name":"New"},{"_id":"a"},{"_id":"n1"},{"_id":"p"},{"_id":"n2"},{}],"more":1}`))
	})
	s := newTestStore(t)
	h := chassistest.Documented(t, newHandler(s, catalogue, discard))
	recordAll(t, s, map[string]string{
		"ann": "a",
		"bob": "a c",
		"cid": "p q",
		"dan": "p",
	})
	for _, test := range []struct{ target, viewer, want string }{
		{"/recommendations", "ann", "co-viewed:c popular:p popular:q new:n2 new:n1"},
		{"/recommendations?limit=2", "ann", "co-viewed:c popular:p"},
		{"/recommendations?limit=0", "ann", ""},
		{"/recommendations?video=p", "ann", "co-viewed:q co-viewed:c new:n2 new:n1"},
		{"/recommendations?video=n1", "ann", "co-viewed:c popular:p popular:q new:n2"},
		{"/recommendations", "", "popular:a popular:p popular:c popular:q new:n2 new:n1"},
		{"/recommendations", "not an id", "popular:a popular:p popular:c popular:q new:n2 new:n1"},
		{"/recommendations?video=a", "", "co-viewed:c popular:p popular:q new:n2 new:n1"},
		{"/recommendations", "bob", "popular:p popular:q new:n2 new:n1"},
		{"/recommendations?video=p", "cid", "popular:a popular:c new:n2 new:n1"},
	} {
		if status, got := get(h, test.target, test.viewer); status != http.StatusOK || got != test.want {
			t.Errorf("GET %s as %q: %d\ngot  %s\nwant %s", test.target, test.viewer, status, got, test.want)
		}
	}
	if err := s.facts.Forget(t.Context(), []string{"c", "p"}); err != nil {
		t.Fatal(err)
	}
	if _, got := get(chassistest.Documented(t, newHandler(s, catalogue, discard)), "/recommendations?limit=2", "ann"); got != "popular:q new:n2" {
		t.Errorf("after c and p were removed: %s", got)
	}
}

func TestLimits(t *testing.T) {
	var many fakeCatalogue
	for i := range 2 * maxRecommendations {
		many.videos = append(many.videos, fmt.Sprint(i))
	}
	h := chassistest.Documented(t, newHandler(fakeStore{}, many, discard))
	for _, test := range []struct {
		query         string
		status, count int
	}{
		{"", 200, 10},
		{"?limit=3", 200, 3},
		{"?limit=50", 200, 50},
		{"?limit=51", 200, 50},
		{"?limit=100000", 200, 50},
		{"?limit=-1", 400, 0},
		{"?limit=ten", 400, 0},
		{"?video=" + strings.Repeat("x", limits.ID+1), 400, 0},
	} {
		status, got := get(h, "/recommendations"+test.query, "")
		if count := strings.Count(got, "new:"); status != test.status || count != test.count {
			t.Errorf("%.30s: %d with %d, want %d with %d", test.query, status, count, test.status, test.count)
		}
	}
}

// TestErrorCodes: each error names its code, and what its message has in it.
func TestErrorCodes(t *testing.T) {
	h := chassistest.Documented(t, newHandler(fakeStore{}, fakeCatalogue{}, discard))
	for target, want := range map[string]string{
		"/views":                                 `{"error":"id must be 1 to 200 bytes of UTF-8","code":"invalid_id","args":{"max":200,"name":"id"}}`,
		"/views?id=a&id=%ff":                     `"code":"invalid_id","args":{"max":200,"name":"id"}`,
		"/views?" + strings.Repeat("&id=a", 101): `"code":"too_many_ids","args":{"max":100}`,
		"/recommendations?video=%ff":             `"code":"invalid_id","args":{"max":200,"name":"video"}`,
		"/recommendations?limit=x":               `"code":"invalid_number","args":{"name":"limit"}`,
	} {
		if status, got := get(h, target, ""); status != http.StatusBadRequest || !strings.Contains(got, want) {
			t.Errorf("GET %.40s: %d %s, want %s", target, status, got, want)
		}
	}
}

func TestMetadataDown(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	base, _ := url.Parse(gone.URL)
	for name, catalogue := range map[string]metadata{
		"not there": newMetadata(base),
		"hanging":   newTestMetadata(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }),
		"failing":   newTestMetadata(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }),
		"not JSON":  newTestMetadata(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 10*metadataTimeout)
			defer cancel()
			found, _, err := newService(fakeStore{videos: []string{"p"}}, catalogue, discard).recommend(ctx, "", "", 10)
			if err != nil || ctx.Err() != nil || len(found) != 1 || found[0].VideoID != "p" {
				t.Errorf("got %v, %v, %v; want the popular video, in time", found, err, ctx.Err())
			}
		})
	}
}

func TestMetadataIsAskedForTheNewest(t *testing.T) {
	asked := make(chan string, 1)
	catalogue := newTestMetadata(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.String()
		var many []string
		for i := range 2 * maxCandidates {
			many = append(many, fmt.Sprintf(`{"_id":"%d"}`, i))
		}
		_, _ = w.Write([]byte(`{"videos":[` + strings.Join(many, ",") + `]}`))
	})
	videos, err := catalogue.newest(t.Context())
	if err != nil || len(videos) != maxCandidates || videos[1] != "1" {
		t.Errorf("got %d videos, %v; want the first %d", len(videos), err, maxCandidates)
	}
	if got, want := <-asked, fmt.Sprintf("/videos?limit=%d&sort=newest", maxCandidates); got != want {
		t.Errorf("asked for %s, want %s", got, want)
	}
}

func TestDatabaseDown(t *testing.T) {
	h := chassistest.Documented(t, newHandler(fakeStore{err: errors.New("dial tcp 10.0.0.7: secret")}, fakeCatalogue{}, discard))
	status, got := get(h, "/recommendations", "ann")
	if status != http.StatusInternalServerError || !strings.Contains(got, `"error"`) || strings.Contains(got, "secret") {
		t.Errorf("got %d %s, want 500 without internals", status, got)
	}
}

// newTestMetadata is a metadata service that answers as told.
func newTestMetadata(t *testing.T, answer http.HandlerFunc) metadata {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return newMetadata(base)
}

type fakeCatalogue struct{ videos []string }

func (f fakeCatalogue) newest(context.Context) ([]string, error) { return f.videos, nil }

// fakeStore knows some popular videos, and nothing about viewers.
type fakeStore struct {
	videos []string
	err    error
}

func (f fakeStore) seen(context.Context, string) ([]string, bool, error) { return nil, true, f.err }

func (f fakeStore) coViewed(context.Context, string, []string, string) ([]string, error) {
	return nil, f.err
}

func (f fakeStore) popular(context.Context) ([]string, error) { return f.videos, f.err }

func (f fakeStore) count(context.Context, []string) (map[string]int64, error) { return nil, f.err }

func (f fakeStore) watched(context.Context, string, []string) (map[string]bool, error) {
	return nil, f.err
}
