package publisher

import (
	"bytes"
	"testing"
	"time"

	"flixtube/contracts"
	"flixtube/video-upload/internal/video"
)

// TestSample: the message is, byte for byte, the sample that its consumers are tested with.
func TestSample(t *testing.T) {
	sample, err := contracts.Sample("video-uploaded")
	if err != nil {
		t.Fatal(err)
	}
	v := video.Video{
		ID: "f3b0a6de-8a57-4d0c-9a35-2f6c1d0e7b94", Name: "My holiday", ContentType: "video/mp4",
		Size: 5 << 20, Duration: 61.5, Poster: true,
	}
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.FixedZone("", 3600))
	m, err := newVideoUploaded("6a1f4c1a-94c7-4f5e-8d4c-0c6e2b7f5d21", at, v, "Vb7Q0cJX1m2hN4tYkqZ8sL5rWfPe3aUd")
	if err != nil || m.ID != "6a1f4c1a-94c7-4f5e-8d4c-0c6e2b7f5d21" || !bytes.Equal(m.Body, bytes.TrimSpace(sample)) {
		t.Errorf("%s, %v\nis not the sample\n%s", m.Body, err, sample)
	}
}
