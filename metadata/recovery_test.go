package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/database"
)

func TestOwnVideos(t *testing.T) {
	s := newTestStore(t)
	h := chassistest.Documented(t, newHandler(s, func() {}, quiet))
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	insert(
		t, s,
		video{ID: "first", Owner: "ann", UploadedAt: day(1)},
		video{ID: "other", Owner: "bob", UploadedAt: day(2)},
		bson.D{{Key: "_id", Value: "nobody's"}},
		video{ID: "gone", Owner: "ann", UploadedAt: day(3)},
		video{ID: "last", Owner: "ann", UploadedAt: day(4)},
	)
	if err := s.remove(t.Context(), "gone", "ann"); err != nil {
		t.Fatal(err)
	}
	own := func(viewer, query string) string {
		t.Helper()
		status, answer := call(t, h, "GET", "/videos/own?"+query, viewer, "")
		if status != http.StatusOK {
			return fmt.Sprint(status)
		}
		var ids []string
		for _, v := range answer["videos"].([]any) {
			ids = append(ids, v.(map[string]any)["_id"].(string))
		}
		return strings.Join(ids, " ")
	}
	for _, test := range []struct{ viewer, query, want string }{
		{"ann", "", "last first"},
		{"ann", "skip=1", "first"},
		{"ann", "limit=1", "last"},
		{"bob", "", "other"},
		{"eve", "", ""},
		{"", "", "401"},
		{"", "owner=ann", "401"},
		{"eve", "owner=ann", ""},
		{"not an id", "", "401"},
		{"ann", "skip=-1", "400"},
	} {
		if got := own(test.viewer, test.query); got != test.want {
			t.Errorf("the videos of %q with %q: %q, want %q", test.viewer, test.query, got, test.want)
		}
	}
}

// TestRecovery: the last code of a viewer makes its user that viewer, until it is revoked.
func TestRecovery(t *testing.T) {
	s := newTestStore(t)
	h := chassistest.Documented(t, newHandler(s, func() {}, quiet))
	insert(t, s, video{ID: "a", Owner: "ann"}, video{ID: "b", Owner: "bob"})
	newOf := func(viewer string) string {
		t.Helper()
		status, answer := call(t, h, "POST", "/recovery", viewer, "")
		code, _ := answer["code"].(string)
		if status != http.StatusCreated || code == "" {
			t.Fatalf("a code for %q: %d %v", viewer, status, answer)
		}
		return code
	}
	use := func(code string) string {
		t.Helper()
		body, err := json.Marshal(map[string]string{"code": code})
		if err != nil {
			t.Fatal(err)
		}
		status, answer := call(t, h, "POST", "/recovery/use", "", string(body))
		if status != http.StatusOK {
			return fmt.Sprint(status, " ", answer["code"])
		}
		return answer["viewer"].(map[string]any)["id"].(string)
	}
	const none = "404 recovery_not_found"

	if status, answer := call(t, h, "POST", "/recovery", "eve", ""); status != 409 || answer["code"] != "nothing_owned" {
		t.Errorf("a code for a viewer without videos: %d %v", status, answer)
	}
	for _, method := range []string{"GET", "POST", "DELETE"} {
		if status, _ := call(t, h, method, "/recovery", "", ""); status != http.StatusUnauthorized {
			t.Errorf("%s without a viewer: %d", method, status)
		}
	}
	if status, _ := call(t, h, "GET", "/recovery", "ann", ""); status != http.StatusNotFound {
		t.Errorf("before there is a code: %d", status)
	}
	first, of := newOf("ann"), newOf("bob")
	if got := use(first) + " " + use(of) + " " + use(first); got != "ann bob ann" {
		t.Errorf("the codes are those of %s", got)
	}
	if got := use(strings.ToLower(strings.ReplaceAll(first, "-", " ")) + "\n"); got != "ann" {
		t.Errorf("as somebody types it: %s", got)
	}
	if status, answer := call(t, h, "GET", "/recovery", "ann", ""); status != 200 || len(answer["recovery"].(map[string]any)) != 1 {
		t.Errorf("what the viewer learns of it: %d %v", status, answer)
	}

	second := newOf("ann")
	if first == second || use(first) != none || use(second) != "ann" {
		t.Errorf("after a new code, the old one gives %s and the new one %s", use(first), use(second))
	}
	for range 2 {
		if status, _ := call(t, h, "DELETE", "/recovery", "ann", ""); status != http.StatusNoContent {
			t.Errorf("revoked: %d", status)
		}
	}
	if use(second) != none || use(of) != "bob" {
		t.Errorf("after ann has revoked hers, it gives %s, and bob's %s", use(second), use(of))
	}
	for _, code := range []string{"", "-", of[1:], of + "A", strings.Repeat("A", 32), `{"$ne":""}`, hashOf(of), "\x00"} {
		if got := use(code); got != none {
			t.Errorf("the code %q: %s", code, got)
		}
	}
	for _, body := range []string{"", "{", `{"code":{"$ne":""}}`, `{"code":1}`} {
		if status, _ := call(t, h, "POST", "/recovery/use", "", body); status != http.StatusBadRequest {
			t.Errorf("the body %q: %d", body, status)
		}
	}
}

// TestRecoveryCode: it has 160 random bits, and the database does not have it.
func TestRecoveryCode(t *testing.T) {
	s := newTestStore(t)
	insert(t, s, video{ID: "a", Owner: "ann"})
	code, _, err := s.makeRecovery(t.Context(), "ann")
	if err != nil {
		t.Fatal(err)
	}
	groups := strings.Split(code, "-")
	if letters := strings.Join(groups, ""); len(letters)*5 != 160 || len(groups) != 8 || !codePattern.MatchString(letters) {
		t.Errorf("the code is %q", code)
	}
	stored, err := database.All[bson.Raw](t.Context(), s.recoveries, bson.D{})
	if err != nil || len(stored) != 1 {
		t.Fatalf("stored are %d: %v", len(stored), err)
	}
	text := strings.ToUpper(stored[0].String())
	if i := slices.IndexFunc(groups, func(g string) bool { return strings.Contains(text, g) && !isHex(g) }); i >= 0 {
		t.Errorf("the database has %s of the code: %s", groups[i], text)
	}
	if !strings.Contains(text, strings.ToUpper(hashOf(code))) {
		t.Errorf("the database lacks the hash: %s", text)
	}
}

// isHex reports whether a group may stand in a hash, too.
func isHex(group string) bool { return strings.Trim(group, "ABCDEF234567") == "" }
