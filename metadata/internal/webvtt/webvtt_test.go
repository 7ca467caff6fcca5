package webvtt_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"flixtube/metadata/internal/webvtt"
)

const maxCues = 100

func utf16File(text string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune("\ufeff" + text)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return string(b)
}

const one = "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\nHello\n"

func TestConvert(t *testing.T) {
	for name, c := range map[string]struct{ file, want string }{
		"WebVTT":      {one, one},
		"CR and LF":   {strings.ReplaceAll(one, "\n", "\r\n"), one},
		"CR":          {strings.ReplaceAll(one, "\n", "\r"), one},
		"a mark":      {"\ufeff" + one, one},
		"UTF-16":      {utf16File("1\r\n00:00:01,000 --> 00:00:02,500\r\nHello\r\n"), one},
		"SubRip":      {"1\n00:00:01,000 --> 00:00:02,500\nHello\n", one},
		"without end": {"1\n00:00:01,000 --> 00:00:02,500\nHello", one},
		"no counter":  {"00:00:01,000-->00:00:02,500\nHello\n\n\n", one},
		"spaces":      {"1\n00:00:01,000 --> 00:00:02,500 X1:40 X2:600\nHello\n \t\n2\n00:01:00,000 --> 00:01:01,000\n안녕\n둘째 줄\n", one + "\n00:01:00.000 --> 00:01:01.000\n안녕\n둘째 줄\n"},
		"dropped": {
			"WEBVTT - title\nKind: captions\n\nSTYLE\n::cue { background: url(http://evil) }\n\nREGION\nid:a\n\nNOTE a --\nb\n\nname\n00:01.000 --> 00:02.500\nHello\n", one,
		},
		"sorted":   {"WEBVTT\n\n00:05.000 --> 00:06.000\nlater\n\n00:01.000 --> 00:02.500\nHello\n", one + "\n00:00:05.000 --> 00:00:06.000\nlater\n"},
		"no text":  {"WEBVTT\n\n00:01.000 --> 00:02.500\n", "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\n"},
		"long":     {"WEBVTT\n\n1000:00:01.000 --> 9999:59:59.999\nx\n", "WEBVTT\n\n1000:00:01.000 --> 9999:59:59.999\nx\n"},
		"settings": {"WEBVTT\n\n00:01.000 --> 00:02.500 align:start line:90%,end region:a onload:x position:10%\nHello\n", "WEBVTT\n\n00:00:01.000 --> 00:00:02.500 align:start line:90%,end position:10%\nHello\n"},
		"tags of SubRip": {
			"1\n00:00:01,000 --> 00:00:02,500\n{\\an8}<font color=\"red\"><i>a</i></font> < b & c &amp; d <script>alert(1)</script>\n",
			"WEBVTT\n\n00:00:01.000 --> 00:00:02.500\n<i>a</i> &lt; b &amp; c &amp; d &lt;script&gt;alert(1)&lt;/script&gt;\n",
		},
		"a zero byte": {"WEBVTT\n\n00:01.000 --> 00:02.500\na\x00b\n", "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\na\ufffdb\n"},
	} {
		got, err := webvtt.Convert([]byte(c.file), maxCues)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
}

func TestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		file   string
		line   int
		reason webvtt.Reason
	}{
		"nothing":         {"", 1, webvtt.Empty},
		"a header":        {"WEBVTT\n", 1, webvtt.Empty},
		"comments":        {"WEBVTT\n\nNOTE none\n", 1, webvtt.Empty},
		"a page":          {"<!doctype html>\n<script>alert(1)</script>\n", 2, webvtt.NoTiming},
		"a picture":       {"\x89PNG\r\n\x1a\n", 1, webvtt.NotText},
		"EUC-KR":          {"1\n00:00:01,000 --> 00:00:02,500\n\xbe\xc8\xb3\xe7\n", 3, webvtt.NotText},
		"a counter alone": {"1\n00:00:01,000 --> 00:00:02,500\na\n\n2\n", 6, webvtt.NoTiming},
		"a broken time":   {"WEBVTT\n\n00:01.000 --> 00:02.500\na\n\n00:61.000 --> 00:02.500\nb\n", 6, webvtt.NoTiming},
		"an open end":     {"WEBVTT\n\n00:01.000 -->\na\n", 3, webvtt.NoTiming},
		"negative":        {"WEBVTT\n\n-00:01.000 --> 00:02.000\na\n", 3, webvtt.NoTiming},
		"backwards":       {"WEBVTT\n\nname\n00:03.000 --> 00:02.500\na\n", 4, webvtt.Backwards},
		"no time at all":  {"WEBVTT\n\n00:02.500 --> 00:02.500\na\n", 3, webvtt.Backwards},
		"no blank line":   {"1\n00:00:01,000 --> 00:00:02,500\na\n2\n00:00:03,000 --> 00:00:04,000\nb\n", 5, webvtt.NoBlank},
		"too many":        {"WEBVTT\n\n" + strings.Repeat("00:01.000 --> 00:02.500\na\n\n", maxCues+1), 3 + 3*maxCues, webvtt.TooMany},
	} {
		_, err := webvtt.Convert([]byte(c.file), maxCues)
		var fault *webvtt.Error
		if !errors.As(err, &fault) || fault.Line != c.line || fault.Reason != c.reason {
			t.Errorf("%s: %v, want line %d: %s", name, err, c.line, c.reason)
		}
	}
}

// FuzzConvert: a file is rejected by one of its lines, or gives WebVTT whose captions are the same when it is converted again.
func FuzzConvert(f *testing.F) {
	f.Fuzz(func(t *testing.T, file []byte) {
		converted, err := webvtt.Convert(file, maxCues)
		if err != nil {
			var fault *webvtt.Error
			if !errors.As(err, &fault) || fault.Line < 1 || fault.Line > bytes.Count(file, []byte("\n"))+bytes.Count(file, []byte("\r"))+1 {
				t.Errorf("%v", err)
			}
			return
		}
		lines := strings.Split(string(converted), "\n")
		if !utf8.Valid(converted) || lines[0] != "WEBVTT" || strings.ContainsAny(string(converted), "\r\x00") {
			t.Errorf("%q", converted)
		}
		again, err := webvtt.Convert(converted, maxCues)
		if err != nil || !bytes.Equal(again, converted) {
			t.Errorf("%q, %v, again %q", converted, err, again)
		}
	})
}
