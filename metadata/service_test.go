package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.mongodb.org/mongo-driver/v2/bson"
	"golang.org/x/sync/errgroup"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/database"
	"flixtube/chassis/messaging"
	"flixtube/chassis/messaging/brokers"
	"flixtube/chassis/relay"
	"flixtube/chassis/web"
	"flixtube/contracts"
	"flixtube/contracts/limits"
)

var quiet = slog.New(slog.DiscardHandler)

// newTestStore returns a store on a database of its own.
func newTestStore(t *testing.T) *store {
	t.Helper()
	db, err := database.Connect(chassistest.Mongo(t), "metadata-"+uuid.NewString()[:8])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = db.Drop(context.WithoutCancel(t.Context()))
		_ = db.Close()
	})
	s := newStore(db)
	if err := s.ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func insert(t *testing.T, s *store, documents ...any) {
	t.Helper()
	for _, d := range documents { // one by one: their order matters
		if _, err := s.videos.InsertOne(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
}

// call sends a request to the handler and decodes the answer.
func call(t *testing.T, h http.Handler, method, target, viewer, body string) (int, map[string]any) {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	req.Header.Set(web.ViewerHeader, viewer)
	res := httptest.NewRecorder()
	h.ServeHTTP(res, req)
	answer := map[string]any{}
	if res.Body.Len() > 0 {
		if err := json.Unmarshal(res.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%s %s: %v in %q", method, target, err, res.Body)
		}
	}
	return res.Code, answer
}

func listed(t *testing.T, h http.Handler, query string) []string {
	t.Helper()
	status, answer := call(t, h, "GET", "/videos?"+query, "", "")
	if status != http.StatusOK {
		t.Fatalf("GET /videos?%s: %d %v", query, status, answer)
	}
	ids := []string{}
	for _, v := range answer["videos"].([]any) {
		ids = append(ids, v.(map[string]any)["_id"].(string))
	}
	return ids
}

func TestList(t *testing.T) {
	s := newTestStore(t)
	h := chassistest.Documented(t, newHandler(s, func() {}, quiet))
	if got := listed(t, h, ""); len(got) != 0 {
		t.Fatalf("an empty library lists %v", got)
	}
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	insert(
		t, s,
		video{ID: "z", Name: "100% (real) [4K].a*b", Owner: "ann", UploadedAt: day(2)},
		bson.D{{Key: "_id", Value: "old"}},
		video{ID: "a", Name: "Über die Alpen", Owner: "bob", UploadedAt: day(3)},
		tombstone{Owner: "ann", Removed: true},
		video{ID: "m", Name: "100 days", Owner: "ann", UploadedAt: day(1)},
	)
	if _, err := s.rename(t.Context(), "z", "ann", "100% (REAL) [4K].a*b"); err != nil { // keeps its place
		t.Fatal(err)
	}
	for query, want := range map[string]string{
		"":                          "z old a m",
		"sort=newest":               "a z m old",
		"skip=1&limit=2":            "old a",
		"limit=0":                   "",
		"skip=9":                    "",
		"search=100":                "z m",
		"search=DAYS&sort=newest":   "m",
		"search=" + esc("% (real)"): "z",
		"search=" + esc("[4k].A*B"): "z",
		"search=" + esc(".*"):       "",
		"search=" + esc("^100"):     "",
		"search=" + esc("(a|"):      "",
		"search=" + esc(`\E100`):    "",
		"search=" + esc("über"):     "a",
		"search=" + esc("\x00"):     "z old a m", // nothing visible to search for
		"search=" + esc("\u0301"):   "z old a m", // a mark without a letter
	} {
		if got := strings.Join(listed(t, h, query), " "); got != want {
			t.Errorf("GET /videos?%s lists %q, want %q", query, got, want)
		}
	}
	for _, query := range []string{
		"skip=-1", "limit=x", "skip=99999999999999999999", "sort=size", "search=%ff",
		"search=" + strings.Repeat("a", limits.Name+1),
	} {
		if status, _ := call(t, h, "GET", "/videos?"+query, "", ""); status != http.StatusBadRequest {
			t.Errorf("GET /videos?%s: %d, want 400", query, status)
		}
	}
}

func TestByIDs(t *testing.T) {
	s := newTestStore(t)
	h := chassistest.Documented(t, newHandler(s, func() {}, quiet))
	oid := bson.NewObjectID()
	insert(t, s, video{ID: "a"}, video{ID: "b,c"}, video{ID: "gone", Owner: "ann"}, bson.D{{Key: "_id", Value: oid}})
	if err := s.remove(t.Context(), "gone", "ann"); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{
		"id=" + oid.Hex() + "&id=none&id=a&id=gone": oid.Hex() + " a",
		"id=b,c&id=&id=%ff":                         "b,c",
		"id=":                                       "",
		strings.Repeat("id=x&", limits.IDs):         "",
	} {
		if got := strings.Join(listed(t, h, query), " "); got != want {
			t.Errorf("GET /videos?%s lists %q, want %q", query, got, want)
		}
	}
	insert(t, s, bson.D{{Key: "_id", Value: int32(5)}, {Key: "name", Value: "theirs"}})
	for i, want := range []string{"theirs", "ours"} {
		_, answer := call(t, h, "GET", "/videos?id=5", "", "")
		if videos := answer["videos"].([]any); len(videos) != 1 || videos[0].(map[string]any)["name"] != want {
			t.Errorf("the id 5 finds %v, want %s", videos, want)
		}
		if i == 0 {
			insert(t, s, video{ID: "5", Name: "ours"})
		}
	}
	if status, _ := call(t, h, "GET", "/videos?"+strings.Repeat("id=x&", limits.IDs+1), "", ""); status != http.StatusBadRequest {
		t.Errorf("too many ids: %d", status)
	}
}

func esc(s string) string { return url.QueryEscape(s) }

func TestForeignDocuments(t *testing.T) {
	s := newTestStore(t)
	h := chassistest.Documented(t, newHandler(s, func() {}, quiet))
	oid := bson.NewObjectID()
	insert(
		t, s,
		bson.D{
			{Key: "_id", Value: oid},
			{Key: "name", Value: "by another"},
			{Key: "createdAt", Value: bson.DateTime(1_700_000_000_123)},
			{Key: "nested", Value: bson.D{{Key: "at", Value: bson.DateTime(0)}, {Key: "removed", Value: 1}}},
			{Key: "tags", Value: bson.A{"a", bson.D{{Key: "n", Value: int64(7)}}}},
			{Key: "outbox", Value: "theirs"},
			{Key: "removed", Value: "no"},
		},
		bson.D{
			{Key: "_id", Value: int32(5)},
			{Key: "name", Value: 12.5},
			{Key: "uploadedAt", Value: "yesterday"},
			{Key: "duration", Value: "1:03"},
			{Key: "poster", Value: "p.png"},
		},
		bson.D{{Key: "_id", Value: "path/../like"}, {Key: "name", Value: nil}},
	)
	want := []string{oid.Hex(), "5", "path/../like"}
	if got := listed(t, h, ""); !slices.Equal(got, want) {
		t.Errorf("listed %v, want %v", got, want)
	}
	if got := listed(t, h, "sort=newest&search=another"); !slices.Equal(got, want[:1]) {
		t.Errorf("listed %v, want %v", got, want[:1])
	}
	_, list := call(t, h, "GET", "/videos", "", "")
	if v := list["videos"].([]any)[1].(map[string]any); v["duration"] != "1:03" || v["poster"] != "p.png" {
		t.Errorf("listed %v", v)
	}
	status, answer := call(t, h, "GET", "/video?id="+oid.Hex(), "", "")
	got, _ := json.Marshal(answer["video"])
	const fields = `{"_id":"%s","createdAt":"2023-11-14T22:13:20.123Z","name":"by another",` +
		`"nested":{"at":"1970-01-01T00:00:00Z","removed":1},"tags":["a",{"n":7}]}`
	if want := fmt.Sprintf(fields, oid.Hex()); status != http.StatusOK || string(got) != want {
		t.Errorf("GET /video: %d %s, want %s", status, got, want)
	}
	if status, _ := call(t, h, "GET", "/video?id="+esc("path/../like"), "", ""); status != http.StatusOK {
		t.Errorf("GET /video with an odd id: %d, want 200", status)
	}
	if status, answer := call(t, h, "GET", "/video?id=5", "", ""); status != http.StatusOK {
		t.Errorf("GET /video with a number as its id: %d %v, want 200", status, answer)
	}
	for _, id := range []string{"", "x", "%ff", "%00", "$ne", "05", "5.0", "6", strings.Repeat("a", 3000), bson.NewObjectID().Hex()} {
		for _, method := range []string{"GET", "PATCH", "DELETE"} {
			status, answer := call(t, h, method, "/video?id="+id, "ann", `{"name":"x"}`)
			if status != http.StatusNotFound || answer["error"] == "" {
				t.Errorf("%s /video?id=%s: %d %v, want 404", method, id, status, answer)
			}
		}
	}
}

func TestAnyValueBecomesJSON(t *testing.T) {
	zero := 0.0
	document := bson.D{{Key: "_id", Value: bson.D{{Key: "a", Value: 1}}}}
	for i, value := range []any{
		1 / zero,
		bson.Null{},
		bson.Undefined{},
		bson.MinKey{},
		bson.MaxKey{},
		bson.DateTime(1 << 62),
		bson.NewDecimal128(1, 2),
		bson.Regex{Pattern: "("},
		bson.Timestamp{T: 1},
		bson.JavaScript("x"),
		bson.CodeWithScope{Code: "x", Scope: bson.D{}},
		bson.Symbol("s"),
		bson.DBPointer{DB: "d"},
		bson.Binary{Subtype: 4, Data: []byte("0123456789abcdef")},
		"\xff",
	} {
		document = append(document, bson.E{Key: fmt.Sprint(i), Value: value})
	}
	raw, err := bson.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	var read bson.D
	if err := bson.Unmarshal(raw, &read); err != nil {
		t.Fatal(err)
	}
	fields := public(read)
	if _, err := json.Marshal(fields); err != nil {
		t.Error(err)
	}
	if _, isString := fields["_id"].(string); !isString {
		t.Errorf("_id is %T, want a string", fields["_id"])
	}
}

func TestOnlyTheOwner(t *testing.T) {
	s := newTestStore(t)
	removed := 0
	h := chassistest.Documented(t, newHandler(s, func() { removed++ }, quiet))
	insert(t, s, video{ID: "v", Name: "first", Owner: "ann", Size: 3}, bson.D{{Key: "_id", Value: "nobody's"}})
	const name = `{"name":"second"}`
	for _, test := range []struct {
		method, id, viewer, body string
		want                     int
	}{
		{"PATCH", "v", "", name, 401},
		{"PATCH", "v", "not an id", name, 401},
		{"PATCH", "v", "bob", name, 403},
		{"PATCH", "nobody's", "bob", name, 403},
		{"PATCH", "v", "ann", `{`, 400},
		{"PATCH", "v", "ann", `{}`, 400},
		{"PATCH", "v", "ann", `{"name":5}`, 400},
		{"PATCH", "v", "ann", `{"name":" \u0000\u202e "}`, 400},
		{"PATCH", "v", "ann", `{"name":"\u3164 \u2800"}`, 400},
		{"PATCH", "v", "ann", "{\"name\":\"\xff\"}", 400},
		{"PATCH", "v", "ann", `{"name":"` + strings.Repeat("ü", limits.Name+1) + `"}`, 400},
		{"PATCH", "v", "ann", `{"name":"` + strings.Repeat("a", maxPatch) + `"}`, 413},
		{"DELETE", "v", "", "", 401},
		{"DELETE", "v", "bob", "", 403},
		{"DELETE", "nobody's", "bob", "", 403},
	} {
		if status, _ := call(t, h, test.method, "/video?id="+test.id, test.viewer, test.body); status != test.want {
			t.Errorf("%s %s as %q with %.40q: %d, want %d", test.method, test.id, test.viewer, test.body, status, test.want)
		}
	}
	if _, answer := call(t, h, "GET", "/video?id=v", "", ""); answer["video"].(map[string]any)["name"] != "first" || removed != 0 {
		t.Fatalf("a refused request changed the video: %v", answer)
	}

	long := strings.Repeat("ü", limits.Name)
	status, answer := call(t, h, "PATCH", "/video?id=v", "ann", `{"name":" `+long+`\n "}`)
	v, _ := answer["video"].(map[string]any)
	if status != 200 || v["name"] != long || v["size"] != 3.0 || v["owner"] != "ann" {
		t.Errorf("PATCH: %d %v", status, answer)
	}
	for range 2 {
		if status, _ := call(t, h, "DELETE", "/video?id=v", "ann", ""); status != 204 {
			t.Errorf("DELETE: %d, want 204", status)
		}
	}
	if removed == 0 {
		t.Error("the relay is not woken")
	}
	for _, gone := range []struct{ method, viewer string }{{"GET", ""}, {"PATCH", "ann"}, {"DELETE", "bob"}} {
		if status, _ := call(t, h, gone.method, "/video?id=v", gone.viewer, name); status != 404 {
			t.Errorf("%s of a removed video: %d, want 404", gone.method, status)
		}
	}
	if got := listed(t, h, ""); !slices.Equal(got, []string{"nobody's"}) {
		t.Errorf("listed %v", got)
	}
}

func uploaded(t *testing.T, s *store, bodies ...string) error {
	t.Helper()
	batch := make([]messaging.Message, len(bodies))
	for i, b := range bodies {
		batch[i].Body = []byte(b)
	}
	return subscriptions(s)[0].Handler(t.Context(), batch)
}

func TestUploaded(t *testing.T) {
	s := newTestStore(t)
	h := chassistest.Documented(t, newHandler(s, func() {}, quiet))
	const full = `{"id":"e","uploadedAt":"2026-01-02T03:04:05Z","owner":{"id":"ann"},"more":1,
		"video":{"id":"v","name":"n\u0000ame","contentType":"video/mp4","size":7,"duration":63.25,"poster":true}}`
	err := uploaded(t, s, full, `{"video":{"id":"bare"}}`, `{`, `{"video":{}}`, full,
		`{"video":{"id":"`+strings.Repeat("a", limits.ID+1)+`"}}`)
	var rejects messaging.Rejects
	if !errors.As(err, &rejects) || len(rejects) != 3 || rejects[2] == nil || rejects[3] == nil || rejects[5] == nil {
		t.Errorf("the batch gives %v, want messages 2, 3 and 5 rejected", err)
	}
	if err := uploaded(t, s, full, `{"video":{"id":"later"}}`); err != nil { // known ones hinder no others
		t.Error(err)
	}
	if got := listed(t, h, ""); !slices.Equal(got, []string{"v", "bare", "later"}) {
		t.Errorf("listed %v", got)
	}
	_, answer := call(t, h, "GET", "/video?id=v", "", "")
	got, _ := json.Marshal(answer["video"])
	const want = `{"_id":"v","contentType":"video/mp4","duration":63.25,"name":"name","owner":"ann","poster":true,"size":7,` +
		`"uploadedAt":"2026-01-02T03:04:05Z"}`
	if string(got) != want {
		t.Errorf("stored %s, want %s", got, want)
	}
	if _, answer := call(t, h, "GET", "/video?id=bare", "", ""); len(answer["video"].(map[string]any)) != 2 {
		t.Errorf("stored %v, want _id and uploadedAt alone", answer)
	}
	if _, answer := call(t, h, "GET", "/videos?limit=1", "", ""); answer["videos"].([]any)[0].(map[string]any)["duration"] != 63.25 {
		t.Errorf("listed %v", answer)
	}
}

// TestPosterLater: a video that is announced again, with a poster, has one from then on, whatever comes first. Nothing else
// of it changes, and a removed one stays removed.
func TestPosterLater(t *testing.T) {
	without := func(id string) string {
		return `{"id":"1","owner":{"id":"ann"},"video":{"id":"` + id + `","name":"n"}}`
	}
	with := func(id string) string {
		return `{"id":"2","owner":{"id":"ann"},"video":{"id":"` + id + `","name":"n","poster":true}}`
	}
	s := newTestStore(t)
	h := newHandler(s, func() {}, quiet)
	if err := uploaded(t, s, without("a"), without("none"), without("removed"), with("b"), without("c"), with("c")); err != nil {
		t.Fatal(err)
	}
	_, err := s.rename(t.Context(), "a", "ann", "new")
	if err := errors.Join(err, s.remove(t.Context(), "removed", "ann")); err != nil {
		t.Fatal(err)
	}
	if err := uploaded(t, s, with("a"), without("b"), with("removed"), with("d")); err != nil {
		t.Fatal(err)
	}
	for id, name := range map[string]string{"a": "new", "b": "n", "c": "n", "d": "n"} {
		_, answer := call(t, h, "GET", "/video?id="+id, "", "")
		if v, _ := answer["video"].(map[string]any); v["poster"] != true || v["name"] != name {
			t.Errorf("%s: %v", id, answer)
		}
	}
	if _, answer := call(t, h, "GET", "/video?id=none", "", ""); answer["video"].(map[string]any)["poster"] != nil {
		t.Errorf("without a poster: %v", answer)
	}
	var removed bson.M
	if err := s.videos.FindOne(t.Context(), bson.D{{Key: "_id", Value: "removed"}}).Decode(&removed); err != nil || removed["poster"] != nil {
		t.Errorf("removed: %v, %v", removed, err)
	}
}

// TestSamples: metadata accepts and sends the messages of the contracts.
func TestSamples(t *testing.T) {
	sample := func(name string) []byte {
		t.Helper()
		s, err := contracts.Sample(name)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.TrimSpace(s)
	}
	got, err := decodeVideoUploaded(messaging.Message{Body: sample("video-uploaded")})
	want := video{
		ID: "f3b0a6de-8a57-4d0c-9a35-2f6c1d0e7b94", Name: "My holiday", ContentType: "video/mp4", Size: 5 << 20, Duration: 61.5,
		Poster: true, Owner: "Vb7Q0cJX1m2hN4tYkqZ8sL5rWfPe3aUd", UploadedAt: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC),
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("video-uploaded: %v, %v; want %v", got, err, want)
	}
	sent := removal{ID: "f3b0a6de-8a57-4d0c-9a35-2f6c1d0e7b94", Event: event{
		ID: "e2c7d1b0-1c36-4f6c-8f3e-7f0f6f6b1c9a", RemovedAt: time.Date(2026, 3, 2, 19, 30, 0, 0, time.FixedZone("", 3600)),
	}}.message()
	if want := sample("video-removed"); !bytes.Equal(sent.Body, want) || sent.ID != "e2c7d1b0-1c36-4f6c-8f3e-7f0f6f6b1c9a" {
		t.Errorf("video-removed: %s under the id %s, want %s", sent.Body, sent.ID, want)
	}
}

func TestDecodeVideoUploaded(t *testing.T) {
	long := strings.Repeat("ü", limits.Name)
	for body, want := range map[string]string{ // a part of the error, or the name
		`{"video":{"id":"v"}}`:                                          "",
		`{"video":{"id":"v","name":"` + long + `ü"}}`:                   long,
		`{"video":{"id":"v","name":"  ` + long + `\u0000"}}`:            long,
		`{"video":{"id":"v","name":"\u3164\u2800\u200b"}}`:              "",
		`{"video":{"name":"n"}}`:                                        "video.id must be 1 to 200 bytes of UTF-8",
		`{"owner":{"id":"` + long + `"},"video":{"id":"v"}}`:            "owner.id must be 1 to 200 bytes of UTF-8",
		`{"uploadedAt":"0000-01-01T00:00:00+01:00","video":{"id":"v"}}`: "uploadedAt must be",
	} {
		v, err := decodeVideoUploaded(messaging.Message{Body: []byte(body)})
		if err != nil && (want == "" || !strings.Contains(err.Error(), want)) || err == nil && v.Name != want {
			t.Errorf("%.80s: %v, %v; want %s", body, v, err, want)
		}
	}
}

// TestErrorCodes: each error names its code, and what its message has in it.
func TestErrorCodes(t *testing.T) {
	s := newTestStore(t)
	h := chassistest.Documented(t, newHandler(s, func() {}, quiet))
	insert(t, s, video{ID: "v", Owner: "ann"})
	for _, test := range []struct{ method, target, viewer, body, want string }{
		{"GET", "/videos?sort=size", "", "", `"code":"invalid_sort","args":{"name":"sort"}`},
		{"GET", "/videos?search=%ff", "", "", `"code":"search_too_long","args":{"max":200}`},
		{"GET", "/videos?" + strings.Repeat("&id=a", limits.IDs+1), "", "", `"code":"too_many_ids","args":{"max":100}`},
		{"GET", "/video?id=none", "", "", `{"error":"there is no such video","code":"video_not_found"}`},
		{"PATCH", "/video?id=v", "bob", `{"name":"n"}`, `"code":"not_owner"`},
		{"PATCH", "/video?id=v", "ann", `{"name":" "}`, `{"error":"name must be 1 to 200 characters","code":"invalid_name","args":{"max":200}}`},
		{"PATCH", "/video?id=v", "ann", `[]`, `"code":"invalid_body"`},
		{"DELETE", "/video?id=v", "bob", "", `"code":"not_owner"`},
		{"DELETE", "/video?id=none", "ann", "", `"code":"video_not_found"`},
	} {
		req := httptest.NewRequestWithContext(t.Context(), test.method, test.target, strings.NewReader(test.body))
		req.Header.Set(web.ViewerHeader, test.viewer)
		res := httptest.NewRecorder()
		h.ServeHTTP(res, req)
		if !strings.Contains(res.Body.String(), test.want) {
			t.Errorf("%s %.40s: %s, want %s", test.method, test.target, res.Body, test.want)
		}
	}
}

// TestDecodeDurationAndPoster: a number that cannot be a duration is left out; a value of another type is an error.
func TestDecodeDurationAndPoster(t *testing.T) {
	for _, test := range []struct {
		fields   string
		duration float64
		poster   bool
		fails    bool
	}{
		{`"duration":0.04,"poster":true`, 0.04, true, false},
		{`"duration":63,"poster":false`, 63, false, false},
		{`"duration":1e7`, 1e7, false, false},
		{`"duration":10000000.1`, 0, false, false},
		{`"duration":1e300`, 0, false, false},
		{`"duration":0`, 0, false, false},
		{`"duration":-1`, 0, false, false},
		{`"duration":null,"poster":null`, 0, false, false},
		{`"duration":"63"`, 0, false, true},
		{`"duration":NaN`, 0, false, true},
		{`"duration":1e999`, 0, false, true},
		{`"duration":[]`, 0, false, true},
		{`"poster":1`, 0, false, true},
		{`"poster":"true"`, 0, false, true},
	} {
		v, err := decodeVideoUploaded(messaging.Message{Body: []byte(`{"video":{"id":"v",` + test.fields + `}}`)})
		if v.Duration != test.duration || v.Poster != test.poster || (err != nil) != test.fails {
			t.Errorf("%s: %v, %v, %v", test.fields, v.Duration, v.Poster, err)
		}
	}
}

// fakeBroker refuses the first few batches, and keeps what it takes.
type fakeBroker struct {
	mu     sync.Mutex
	refuse int
	got    []messaging.Message
}

func (b *fakeBroker) publish(_ context.Context, msgs []messaging.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse--; b.refuse >= 0 {
		return errors.New("the broker is away")
	}
	b.got = append(b.got, msgs...)
	return nil
}

func (b *fakeBroker) messages() []messaging.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.got)
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

func TestRemovalIsAnnounced(t *testing.T) {
	s := newTestStore(t)
	broker := &fakeBroker{refuse: 3}
	source := newRemovals(s)
	h := chassistest.Documented(t, newHandler(s, source.added.Send, quiet))
	oid := bson.NewObjectID()
	insert(t, s, video{ID: "v", Owner: "ann"}, bson.D{{Key: "_id", Value: oid}, {Key: "owner", Value: "ann"}})

	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- relay.New(source, broker.publish, quiet).Run(ctx) }()
	for _, id := range []string{"v", oid.Hex()} {
		if status, _ := call(t, h, "DELETE", "/video?id="+id, "ann", ""); status != 204 {
			t.Fatalf("DELETE: %d", status)
		}
	}
	eventually(t, "both removals announced and noted", func() bool {
		waiting, err := s.unsent(t.Context())
		return err == nil && len(waiting) == 0 && len(broker.messages()) >= 2
	})
	stop()
	if err := <-done; err != nil {
		t.Errorf("the relay ended with %v", err)
	}
	told := map[string]string{} // event id by video
	for _, m := range broker.messages() {
		var e videoRemoved
		if err := json.Unmarshal(m.Body, &e); err != nil || e.ID == "" || e.ID != m.ID || time.Since(e.RemovedAt) > time.Hour {
			t.Errorf("message %q: %s", m.ID, m.Body)
		}
		told[e.Video.ID] = e.ID
	}
	if len(told) != 2 || told["v"] == "" || told[oid.Hex()] == "" || told["v"] == told[oid.Hex()] {
		t.Errorf("told %v", told)
	}
}

// TestTwoRelays: both may send an event, but under one id; and one that is late forgets nothing but its own.
func TestTwoRelays(t *testing.T) {
	s := newTestStore(t)
	insert(t, s, video{ID: "v", Owner: "ann"})
	if err := s.remove(t.Context(), "v", "ann"); err != nil {
		t.Fatal(err)
	}
	broker := &fakeBroker{}
	var forget []func(context.Context) error
	for range 2 {
		msgs, f, err := newRemovals(s).Next(t.Context())
		if err := errors.Join(err, broker.publish(t.Context(), msgs)); err != nil {
			t.Fatal(err)
		}
		forget = append(forget, f)
	}
	for _, f := range forget {
		if err := f(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := broker.messages(); len(got) != 2 || got[0].ID != got[1].ID || string(got[0].Body) != string(got[1].Body) {
		t.Errorf("sent %v, want the same message twice", got)
	}

	insert(t, s, tombstone{Owner: "ann", Removed: true, Event: &event{ID: "one"}})
	waiting, err := s.unsent(t.Context())
	if err != nil || len(waiting) != 1 {
		t.Fatalf("unsent: %v, %v", waiting, err)
	}
	stale := waiting[0]
	stale.Event.ID = "another"
	if err := s.sent(t.Context(), stale); err != nil {
		t.Fatal(err)
	}
	if waiting, err = s.unsent(t.Context()); err != nil || len(waiting) != 1 {
		t.Errorf("after clearing another event: %v, %v", waiting, err)
	}
}

// TestAnyOrder: messages that arrive in any order, repeatedly, in batches of any size, at two replicas, and among removals
// and renames, lead to the same list as each message once, in order.
func TestAnyOrder(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	message := func(i int) string {
		return fmt.Sprintf(`{"id":"m%d","uploadedAt":"2026-01-02T03:04:%02dZ","owner":{"id":"ann"},"video":{"id":"v%d","name":"n%d"}}`, i, i, i, i)
	}
	change := func(s *store, i int) error { // every third is removed, every fourth renamed, which cannot undo the other
		id := fmt.Sprint("v", i)
		if i%4 == 0 {
			if _, err := s.rename(t.Context(), id, "ann", "new "+id); err != nil {
				return err
			}
		}
		if i%3 == 0 {
			return s.remove(t.Context(), id, "ann")
		}
		return nil
	}
	const videos = 20
	for range 8 {
		plain, shuffled := newTestStore(t), newTestStore(t)
		var order []int
		for i := range videos {
			if err := errors.Join(uploaded(t, plain, message(i)), change(plain, i)); err != nil {
				t.Fatal(err)
			}
			for range 1 + random.IntN(4) {
				order = append(order, i)
			}
		}
		random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		changed := map[int]bool{}
		for len(order) > 0 {
			batch := order[:1+random.IntN(min(len(order), 7))]
			order = order[len(batch):]
			var bodies []string
			for _, i := range batch {
				bodies = append(bodies, message(i))
			}
			var replicas errgroup.Group
			for range 1 + random.IntN(2) {
				replicas.Go(func() error { return uploaded(t, shuffled, bodies...) })
			}
			if err := replicas.Wait(); err != nil {
				t.Fatal(err)
			}
			for _, i := range batch {
				if changed[i] {
					continue
				}
				changed[i] = true
				if err := change(shuffled, i); err != nil {
					t.Fatal(err)
				}
			}
		}
		_, want := call(t, chassistest.Documented(t, newHandler(plain, func() {}, quiet)), "GET", "/videos?sort=newest", "", "")
		_, got := call(t, chassistest.Documented(t, newHandler(shuffled, func() {}, quiet)), "GET", "/videos?sort=newest", "", "")
		if len(want["videos"].([]any)) != videos-7 || !reflect.DeepEqual(got, want) {
			t.Fatalf("listed\n%v\nwant\n%v", got, want)
		}
	}
}

// TestOrder: in any order of uploads, removals and renames, a removed video stays removed and is announced once.
func TestOrder(t *testing.T) {
	const message = `{"owner":{"id":"ann"},"video":{"id":"v","name":"n"}}`
	for _, order := range []string{"uru", "uur", "urru", "urtu", "urtut", "uurtrt", "unrtu"} {
		t.Run(order, func(t *testing.T) {
			s := newTestStore(t)
			broker := &fakeBroker{}
			steps := map[rune]func() error{
				'u': func() error { return uploaded(t, s, message, message) },
				'r': func() error { return s.remove(t.Context(), "v", "ann") },
				't': func() error { // as the relay does
					msgs, forget, err := newRemovals(s).Next(t.Context())
					if err != nil {
						return err
					}
					return errors.Join(broker.publish(t.Context(), msgs), forget(t.Context()))
				},
				'n': func() error { _, err := s.rename(t.Context(), "v", "ann", "new"); return err },
			}
			for _, step := range order + "t" {
				if err := steps[step](); err != nil {
					t.Fatalf("step %c: %v", step, err)
				}
			}
			if got := listed(t, chassistest.Documented(t, newHandler(s, func() {}, quiet)), ""); len(got) != 0 {
				t.Errorf("still listed: %v", got)
			}
			if got := broker.messages(); len(got) != 1 {
				t.Errorf("announced %d times", len(got))
			}
		})
	}
}

// TestChangesAtTheSameTime: neither a renaming nor another removal undoes a removal.
func TestChangesAtTheSameTime(t *testing.T) {
	s := newTestStore(t)
	const rounds = 20
	for round := range rounds {
		id := fmt.Sprint(round)
		insert(t, s, video{ID: id, Owner: "ann"})
		before, err := s.find(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		var work sync.WaitGroup
		for range 4 {
			work.Go(func() {
				if _, err := s.rename(t.Context(), id, "ann", "new"); err != nil && !errors.Is(err, errNoVideo) {
					t.Error(err)
				}
			})
			work.Go(func() {
				if err := s.remove(t.Context(), id, "ann"); err != nil {
					t.Error(err)
				}
			})
		}
		work.Wait()
		if _, err := s.find(t.Context(), id); !errors.Is(err, errNoVideo) {
			t.Errorf("find after the removal: %v", err)
		}
		if n, err := s.videos.CountDocuments(t.Context(), owned(before, "ann")); err != nil || n != 0 {
			t.Errorf("a change that comes late would find %d documents, %v", n, err)
		}
	}
	if waiting, err := s.unsent(t.Context()); err != nil || len(waiting) != rounds {
		t.Errorf("%d removals wait to be announced, %v, want %d", len(waiting), err, rounds)
	}
}

func TestMissingVariables(t *testing.T) {
	err := run(t.Context(), chassistest.Env(nil), io.Discard)
	for _, name := range []string{"PORT", "RABBIT", "DBHOST", "DBNAME"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not name %s", err, name)
		}
	}
}

// TestService starts the service, announces a video to it, removes the video, and waits for the announcement.
func TestService(t *testing.T) {
	rabbit := chassistest.JetStream(t)
	address := chassistest.Start(t, run, map[string]string{
		"RABBIT": rabbit, "DBHOST": chassistest.Mongo(t), "DBNAME": "metadata-" + uuid.NewString()[:8],
	})
	broker, err := brokers.Connect(rabbit)
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	id := uuid.NewString()
	err = broker.Publisher(contracts.VideoUploaded.Destination()).Publish(t.Context(), []messaging.Message{
		{ID: uuid.NewString(), Body: []byte(`{"owner":{"id":"ann"},"video":{"id":"` + id + `","name":"n"}}`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	ready, err := http.Get(address + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(ready.Body)
	ready.Body.Close()
	if err != nil || ready.StatusCode != 200 || !strings.Contains(string(answer), `"broker":"ok","database":"ok"`) {
		t.Errorf("/readyz: %s %s, %v", ready.Status, answer, err)
	}
	status := func(method string) int {
		req, _ := http.NewRequestWithContext(t.Context(), method, address+"/video?id="+id, http.NoBody)
		req.Header.Set(web.ViewerHeader, "ann")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	eventually(t, "the video is listed", func() bool { return status("GET") == http.StatusOK })
	removals, err := broker.Open(t.Context(), contracts.VideoRemoved.Queue("history"), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer removals.Close()
	if got := status("DELETE"); got != http.StatusNoContent {
		t.Fatalf("DELETE: %d", got)
	}
	waitFor(t, removals, id)
}

// waitFor takes messages until one holds the text.
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

func TestWrongBroker(t *testing.T) {
	chassistest.RejectsBroker(t, run, map[string]string{"DBHOST": "mongodb://127.0.0.1:1", "DBNAME": "metadata"})
}
