package main

import (
	"testing"

	"flixtube/chassis/messaging"
	"flixtube/contracts"
)

// FuzzDecodeVideoRemoved: each message is rejected or names a video, which may be none that can be stored.
func FuzzDecodeVideoRemoved(f *testing.F) {
	sample, err := contracts.Sample("video-removed")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sample)
	f.Fuzz(func(t *testing.T, body []byte) {
		id, err := decodeVideoRemoved(messaging.Message{Body: body})
		if err == nil && id == "" {
			t.Error("no id, and no error")
		}
	})
}
