package video_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"flixtube/contracts/limits"
	"flixtube/video-upload/internal/video"
)

func box(kind string, content ...string) string {
	all := strings.Join(content, "")
	return string(binary.BigEndian.AppendUint32(nil, uint32(8+len(all)))) + kind + all
}

// large is a box with its size in 64 bits.
func large(kind, content string) string {
	return "\x00\x00\x00\x01" + kind + string(binary.BigEndian.AppendUint64(nil, uint64(16+len(content)))) + content
}

func mvhd(scale, length uint32) string {
	times := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(make([]byte, 12), scale), length)
	return box("mvhd", string(times), strings.Repeat("\x00", 80))
}

func longMvhd(scale uint32, length uint64) string {
	times := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(append([]byte{1}, make([]byte, 19)...), scale), length)
	return box("mvhd", string(times), strings.Repeat("\x00", 80))
}

var (
	ftyp = box("ftyp", "isom\x00\x00\x02\x00isomiso2avc1mp41")
	mdat = box("mdat", strings.Repeat("moov", 5000))
)

// element is one of Matroska, its size in two bytes.
func element(id string, content ...string) string {
	all := strings.Join(content, "")
	return id + string(binary.BigEndian.AppendUint16(nil, uint16(1<<14|len(all)))) + all
}

const (
	endlessSegment = "\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff"
	void           = "\xec\x83abc"
	scaleMillis    = "\x2a\xd7\xb1\x83\x0f\x42\x40"
)

func ticks(n float64) string {
	return "\x44\x89\x88" + string(binary.BigEndian.AppendUint64(nil, math.Float64bits(n)))
}

func fewTicks(n float32) string {
	return "\x44\x89\x84" + string(binary.BigEndian.AppendUint32(nil, math.Float32bits(n)))
}

func info(content ...string) string { return element("\x15\x49\xa9\x66", content...) }

func TestInspect(t *testing.T) {
	ebml := element("\x1a\x45\xdf\xa3", "\x42\x82\x84webm")
	cluster := element("\x1f\x43\xb6\x75", strings.Repeat("x", 1000))
	for name, c := range map[string]struct {
		contentType, file string
		duration          float64
		err               error
	}{
		"index first":              {"video/mp4", ftyp + box("moov", mvhd(600, 930), box("trak")) + mdat, 1.55, nil},
		"index last":               {"video/mp4", ftyp + mdat + box("moov", box("trak"), mvhd(1000, 63200)), 63.2, nil},
		"64-bit sizes":             {"video/mp4", ftyp + large("mdat", "xyz") + large("moov", longMvhd(90000, 9e9)), 1e5, nil},
		"index to the end":         {"video/mp4", ftyp + "\x00\x00\x00\x00moov" + mvhd(1, 7), 7, nil},
		"QuickTime without a type": {"video/quicktime", box("wide") + mdat + box("moov", mvhd(600, 600)), 1, nil},
		"fragments":                {"video/mp4", ftyp + box("moov", mvhd(600, 0)) + box("moof") + mdat, 0, nil},
		"the first of fragments":   {"video/mp4", ftyp + box("moov", mvhd(600, 600), box("trak"), box("mvex", box("trex"))) + mdat + box("moof") + mdat, 0, nil},
		"all fragments":            {"video/mp4", ftyp + box("moov", mvhd(600, 600), box("trak"), box("mvex", box("mehd", "\x00\x00\x00\x00\x00\x00\x0e\x10"))) + mdat, 6, nil},
		"all of long fragments":    {"video/mp4", ftyp + box("moov", mvhd(600, 0), box("mvex", box("mehd", "\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0e\x10"))), 6, nil},
		"too short an mehd":        {"video/mp4", ftyp + box("moov", mvhd(600, 600), box("mvex", box("mehd", "\x01\x00\x00\x00\x00\x00\x00\x00")), box("udta")), 0, nil},
		"cut off after fragments":  {"video/mp4", (ftyp + box("moov", mvhd(600, 600), box("mvex", box("trex")), box("udta", "abc")))[:170], 0, video.ErrNoMoov},
		"unknown duration":         {"video/mp4", ftyp + box("moov", mvhd(600, math.MaxUint32)), 0, nil},
		"no time scale":            {"video/mp4", ftyp + box("moov", mvhd(0, 5)), 0, nil},
		"impossible duration":      {"video/mp4", ftyp + box("moov", mvhd(1, limits.Duration+1)), 0, nil},
		"index without its header": {"video/mp4", ftyp + box("moov", box("trak")), 0, nil},
		"no index":                 {"video/mp4", ftyp + mdat, 0, video.ErrNoMoov},
		"no index in QuickTime":    {"video/quicktime", ftyp + mdat, 0, video.ErrNoMoov},
		"data without an end":      {"video/mp4", ftyp + "\x00\x00\x00\x00mdat" + box("moov", mvhd(1, 7)), 0, video.ErrNoMoov},
		"cut off in the data":      {"video/mp4", (ftyp + mdat)[:10_000], 0, video.ErrNoMoov},
		"cut off in the index":     {"video/mp4", (ftyp + mdat + box("moov", mvhd(1, 7), box("trak", "abcdef")))[:20_165], 0, video.ErrNoMoov},
		"the type alone":           {"video/mp4", ftyp, 0, video.ErrNoMoov},
		"no boxes":                 {"video/mp4", ftyp + strings.Repeat("\x07", 500), 0, video.ErrNoMoov},
		"too small a box":          {"video/mp4", ftyp + "\x00\x00\x00\x07free" + box("moov"), 0, video.ErrNoMoov},
		"negative size":            {"video/mp4", ftyp + "\x00\x00\x00\x01free\xff\xff\xff\xff\xff\xff\xff\xf0" + box("moov"), 0, video.ErrNoMoov},
		"too many boxes":           {"video/mp4", ftyp + strings.Repeat(box("free"), 20_000) + box("moov"), 0, video.ErrNoMoov},

		"WebM":                 {"video/webm", ebml + endlessSegment + void + info(scaleMillis, ticks(63200)) + cluster, 63.2, nil},
		"Matroska":             {"video/x-matroska", ebml + element("\x18\x53\x80\x67", info(fewTicks(1500), void)), 1.5, nil},
		"streamed WebM":        {"video/webm", ebml + endlessSegment + info(scaleMillis) + cluster, 0, nil},
		"cluster without size": {"video/webm", ebml + endlessSegment + "\x1f\x43\xb6\x75\xff" + info(ticks(5)), 0, nil},
		"negative ticks":       {"video/webm", ebml + endlessSegment + info(ticks(-5)), 0, nil},
		"no number":            {"video/webm", ebml + endlessSegment + info(ticks(math.NaN())), 0, nil},
		"forever":              {"video/webm", ebml + endlessSegment + info(ticks(math.Inf(1))), 0, nil},
		"cut off":              {"video/webm", (ebml + endlessSegment + info(ticks(5)))[:30], 0, nil},
		"Ogg":                  {"video/ogg", "OggS", 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			for how, file := range map[string]io.Reader{
				"seeking": strings.NewReader(c.file), "reading": iotest.OneByteReader(strings.NewReader(c.file)),
			} {
				duration, err := video.Inspect(c.contentType, file)
				if !errors.Is(err, c.err) || duration != c.duration {
					t.Errorf("%s: %v s, %v, want %v s, %v", how, duration, err, c.duration, c.err)
				}
			}
		})
	}
}

// TestInspectBrokenDisk: a file that cannot be read is not one without an index.
func TestInspectBrokenDisk(t *testing.T) {
	broken := errors.New("broken disk")
	for _, contentType := range []string{"video/mp4", "video/webm"} {
		if _, err := video.Inspect(contentType, iotest.ErrReader(broken)); !errors.Is(err, broken) || video.Rejected(err) {
			t.Errorf("%s: %v", contentType, err)
		}
	}
}

// FuzzInspect: whatever a file holds, it is looked at in the same way with and without seeking.
func FuzzInspect(f *testing.F) {
	f.Fuzz(func(t *testing.T, matroska bool, file []byte) {
		contentType := "video/mp4"
		if matroska {
			contentType = "video/webm"
		}
		duration, err := video.Inspect(contentType, bytes.NewReader(file))
		if !(duration >= 0 && duration <= limits.Duration) || err != nil && !errors.Is(err, video.ErrNoMoov) {
			t.Errorf("%v s, %v", duration, err)
		}
		again, errAgain := video.Inspect(contentType, io.MultiReader(bytes.NewReader(file)))
		if again != duration || !errors.Is(errAgain, err) {
			t.Errorf("seeking: %v s, %v; reading: %v s, %v", duration, err, again, errAgain)
		}
	})
}
