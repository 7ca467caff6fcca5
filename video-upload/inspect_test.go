package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"strings"
	"testing"

	"flixtube/contracts/codes"
)

// whole is an MP4 of 12.5 seconds whose index comes last.
func whole() []byte {
	file := []byte(ftyp + "\x00\x00\x4e\x28mdat" + strings.Repeat("\x07", 20_000) + "\x00\x00\x00\x74moov\x00\x00\x00\x6cmvhd" + strings.Repeat("\x00", 12))
	file = binary.BigEndian.AppendUint32(file, 600)  // ticks a second
	file = binary.BigEndian.AppendUint32(file, 7500) // ticks
	return append(file, make([]byte, 80)...)
}

// TestDurationOfFile: a program that says no duration gets the one that the file says.
func TestDurationOfFile(t *testing.T) {
	file := whole()
	ann, _, _, box := newTestClient(t, 1<<20)
	ann.expect(201, ann.ask("POST", "/upload", bytes.NewReader(file), "File-Name: a.mp4"))
	ann.expect(201, ann.ask("POST", "/upload", chunked(bytes.NewReader(file)), "File-Name: chunked.mp4"))
	ann.expect(204, ann.patch(ann.create(len(file)), 0, bytes.NewReader(file)))
	ann.expect(201, ann.ask("POST", "/upload", bytes.NewReader(file), "File-Name: told.mp4", "Video-Duration: 12"))
	for i, want := range []float64{12.5, 12.5, 12.5, 12} {
		var m struct{ Video struct{ Duration float64 } }
		if err := json.Unmarshal(box.added()[i].Body, &m); err != nil || m.Video.Duration != want {
			t.Errorf("%d: announced as %v s, %v, want %v", i, m.Video.Duration, err, want)
		}
	}
}

// TestWithoutMoov: a recording that was cut off leaves nothing behind.
func TestWithoutMoov(t *testing.T) {
	file := whole()[:20_000]
	ann, u, storage, box := newTestClient(t, 1<<20)
	for what, a := range map[string]answered{
		"whole":     ann.ask("POST", "/upload", bytes.NewReader(file), "File-Name: a.mp4"),
		"chunked":   ann.ask("POST", "/upload", chunked(bytes.NewReader(file)), "File-Name: a.mp4"),
		"resumable": ann.patch(ann.create(len(file)), 0, bytes.NewReader(file)),
	} {
		if a.StatusCode != 415 || !strings.Contains(a.body, `"code":"`+codes.MoovMissing+`"`) {
			t.Errorf("%s: %s %s", what, a.Status, a.body)
		}
	}
	uploads, deleted := storage.seen()
	if len(uploads) != len(deleted) || len(box.added()) != 0 || len(names(t, u)) != 0 {
		t.Errorf("stored %d, deleted %d, announced %d, left %v", len(uploads), len(deleted), len(box.added()), names(t, u))
	}
}
