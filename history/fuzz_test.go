package main

import (
	"testing"

	"flixtube/chassis/messaging"
	"flixtube/contracts"
	"flixtube/contracts/limits"
)

// FuzzDecodeViewed: each message is rejected, or is a view that the store and JSON can hold.
func FuzzDecodeViewed(f *testing.F) {
	for _, name := range []string{"viewed", "viewed-minimal"} {
		sample, err := contracts.Sample(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add("", sample)
	}
	f.Fuzz(func(t *testing.T, messageID string, body []byte) {
		v, err := decodeViewed(messaging.Message{ID: messageID, Body: body})
		if err != nil {
			return
		}
		if limits.CheckID("id", v.ID) != nil || limits.CheckID("video.id", v.VideoID) != nil || limits.CheckOptionalID("viewer.id", v.Viewer) != nil {
			t.Errorf("ids of %+v", v)
		}
		if _, err := v.ViewedAt.MarshalJSON(); err != nil {
			t.Error(err)
		}
	})
}

// FuzzDecodeVideoRemoved: each message is rejected or names a video.
func FuzzDecodeVideoRemoved(f *testing.F) {
	sample, err := contracts.Sample("video-removed")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sample)
	f.Fuzz(func(t *testing.T, body []byte) {
		id, err := decodeVideoRemoved(messaging.Message{Body: body})
		if err == nil && limits.CheckID("video.id", id) != nil {
			t.Errorf("the id is %q", id)
		}
	})
}
