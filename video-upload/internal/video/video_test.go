package video_test

import (
	"errors"
	"strings"
	"testing"

	"flixtube/chassis/web"
	"flixtube/contracts/codes"
	"flixtube/contracts/limits"
	"flixtube/video-upload/internal/video"
)

const (
	mp4Head  = "\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"
	webmHead = "\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm"
)

func TestType(t *testing.T) {
	for start, want := range map[string]string{
		mp4Head: "video/mp4",
		"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2avc1mp41": "video/mp4",
		"\x00\x00\x00\x18ftypM4V \x00\x00\x00\x00M4V mp42":         "video/mp4",
		"\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00qt  ":             "video/quicktime",
		webmHead: "video/webm",
		"\x1a\x45\xdf\xa3\xa3\x42\x86\x81\x01\x42\x82\x88matroska":             "video/x-matroska",
		"OggS\x00\x02" + strings.Repeat("\x00", 22) + "\x80theora\x03\x02\x01": "video/ogg",
		"OggS\x00\x02" + strings.Repeat("\x00", 22) + "\x01vorbis\x00\x00\x00": "",
		"\x00\x00\x00\x18ftypavif\x00\x00\x00\x00avifmif1":                     "",
		"RIFF\x00\x00\x00\x00AVI LIST":                                         "",
		"<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"x()\"/>":           "",
		"": "",
	} {
		if got := video.Type([]byte(start)); got != want {
			t.Errorf("%q: %q, want %q", start, got, want)
		}
	}
}

func TestName(t *testing.T) {
	long := strings.Repeat("ü", 300)
	for file, want := range map[string]string{
		"a.mp4":                           "a",
		"archive.tar.gz":                  "archive.tar",
		"no extension":                    "no extension",
		"Part 2. The return":              "Part 2. The return",
		".mp4":                            ".mp4",
		"../../etc/passwd":                "passwd",
		`C:\Users\ann\My film.webm`:       "My film",
		"/a/b\\c/d.mp4":                   "d",
		"gpj.\u202e\u2066exe.mp4":         "gpj.exe",
		"a\r\nX-Viewer-Id: bob\x00.mp4":   "aX-Viewer-Id: bob",
		"<script>alert(1)<%2fscript>.mp4": "<script>alert(1)<%2fscript>",
		long + ".mp4":                     long[:2*limits.Name],
		" 映画 .mp4 ":                       "映画",
	} {
		got, err := video.Name(file)
		if err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", file, got, err, want)
		}
	}
}

func TestNameTooLong(t *testing.T) {
	if _, err := video.Name(strings.Repeat("a", limits.FileName)); err != nil {
		t.Error(err)
	}
	_, err := video.Name(strings.Repeat("a", limits.FileName+1))
	var own *web.Error
	if !errors.As(err, &own) || own.Status != 400 || own.Code != codes.FileNameTooLong || own.Args["max"] != limits.FileName {
		t.Errorf("%+v", err)
	}
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]float64{"": 0, "63.2": 63.2, "1e3": 1000, "10000000": limits.Duration} {
		if got, err := video.Duration(text); got != want || err != nil {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"-1", "0", "inf", "nan", "1e8", "10000001", "1:02", "long"} {
		_, err := video.Duration(text)
		var own *web.Error
		if !errors.As(err, &own) || own.Status != 400 || own.Args["max"] != int(limits.Duration) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
