package main

import (
	"testing"
	"unicode/utf8"

	"flixtube/chassis/messaging"
	"flixtube/chassis/text"
	"flixtube/contracts"
	"flixtube/contracts/limits"
)

// FuzzDecodeVideoUploaded: each message is rejected, or is a video that the store, JSON and a page can hold.
func FuzzDecodeVideoUploaded(f *testing.F) {
	sample, err := contracts.Sample("video-uploaded")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sample)
	f.Fuzz(func(t *testing.T, body []byte) {
		v, err := decodeVideoUploaded(messaging.Message{Body: body})
		if err != nil {
			return
		}
		if limits.CheckID("video.id", v.ID) != nil || limits.CheckOptionalID("owner.id", v.Owner) != nil {
			t.Errorf("ids of %+v", v)
		}
		if utf8.RuneCountInString(v.Name) > limits.Name || v.Name != text.Line(v.Name) {
			t.Errorf("the name is %q", v.Name)
		}
		if v.Duration < 0 || v.Duration > limits.Duration {
			t.Errorf("the duration is %v", v.Duration)
		}
		if _, err := v.UploadedAt.MarshalJSON(); err != nil {
			t.Error(err)
		}
	})
}
