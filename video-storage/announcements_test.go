package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"flixtube/chassis/messaging"
	"flixtube/contracts"
)

func message(id string) messaging.Message {
	return messaging.Message{Body: fmt.Appendf(nil, `{"id":"1","video":{"id":%q,"name":"Title of %s"}}`, id, id)}
}

// testAnnouncements: an announcement stays as long as its video.
func testAnnouncements(t *testing.T, base string, videos store) {
	handle := func(ids ...string) {
		t.Helper()
		var messages []messaging.Message
		for _, id := range ids {
			messages = append(messages, message(id))
		}
		if err := announcement(videos).Handler(t.Context(), messages); err != nil {
			t.Fatal(err)
		}
	}
	// page are the videos of this test, as "ID: TITLE".
	page := func(query string) (titles []string) {
		t.Helper()
		_, body := call(t, "GET", base+"/videos?"+query, "")
		var answer struct {
			Videos []struct {
				ID           string
				Announcement *struct{ Video struct{ Name string } }
			}
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		for _, v := range answer.Videos {
			switch {
			case !strings.HasPrefix(v.ID, "zz"):
			case v.Announcement == nil:
				titles = append(titles, v.ID+": none")
			default:
				titles = append(titles, v.ID+": "+v.Announcement.Video.Name)
			}
		}
		return titles
	}
	for _, id := range []string{"zz1", "zz2", "zz3"} {
		expect(t, 201, "POST", base+"/upload", "the bytes of "+id, "id: "+id)
	}
	etag := expect(t, 200, "HEAD", base+"/video?id=zz1", "").Header.Get("ETag")
	handle("zz3", "zz1", "zz1", "zz9", "../zz2")
	if got := expect(t, 200, "HEAD", base+"/video?id=zz1", "").Header.Get("ETag"); got != etag {
		t.Errorf("the announcement changes the ETag %s to %s", etag, got)
	}
	for query, want := range map[string][]string{
		"":                  {"zz1: Title of zz1", "zz2: none", "zz3: Title of zz3"},
		"after=zz1":         {"zz2: none", "zz3: Title of zz3"},
		"after=zz0&limit=1": {"zz1: Title of zz1"},
		"after=zz1x":        {"zz2: none", "zz3: Title of zz3"},
		"after=zz3":         nil,
	} {
		if got := page(query); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", query, got, want)
		}
	}
	expect(t, 400, "GET", base+"/videos?limit=x", "")

	with := messaging.Message{Body: []byte(`{"id":"2","video":{"id":"zz3","name":"Title of zz3","poster":true}}`)}
	if err := announcement(videos).Handler(t.Context(), []messaging.Message{with, message("zz3")}); err != nil {
		t.Fatal(err)
	}
	if kept, err := videos.OpenAnnouncement(t.Context(), "zz3"); err != nil || string(kept) != string(with.Body) {
		t.Errorf("after an announcement with a poster and one without: %s, %v", kept, err)
	}

	expect(t, 204, "DELETE", base+"/video?id=zz1", "")
	handle("zz1") // delivered again after the removal
	if left := contents(t, videos, "zz1"); left != "" {
		t.Errorf("left behind: %s", left)
	}
	for range 20 {
		expect(t, 201, "POST", base+"/upload", "the bytes", "id: zz4")
		var work sync.WaitGroup
		work.Go(func() {
			if err := announcement(videos).Handler(t.Context(), []messaging.Message{message("zz4")}); err != nil {
				t.Error(err)
			}
		})
		if err := videos.Delete(t.Context(), "zz4"); err != nil {
			t.Error(err)
		}
		work.Wait()
		if left := contents(t, videos, "zz4"); left != "" {
			t.Fatalf("removed while it is announced: %s stays", left)
		}
	}
	if got, want := page(""), []string{"zz2: none", "zz3: Title of zz3"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for _, id := range []string{"zz2", "zz3"} {
		expect(t, 204, "DELETE", base+"/video?id="+id, "")
	}
}

func TestDecodeVideoUploaded(t *testing.T) {
	sample, err := contracts.Sample("video-uploaded")
	if err != nil {
		t.Fatal(err)
	}
	a, err := decodeVideoUploaded(messaging.Message{Body: sample})
	if err != nil || a.id != "f3b0a6de-8a57-4d0c-9a35-2f6c1d0e7b94" || string(a.message) != string(sample) {
		t.Errorf("%+v, %v", a, err)
	}
	for _, body := range []string{"", "no JSON", "{}", `{"video":{}}`, `{"video":{"id":1}}`} {
		if a, err := decodeVideoUploaded(messaging.Message{Body: []byte(body)}); err == nil {
			t.Errorf("%s is %+v", body, a)
		}
	}
}
