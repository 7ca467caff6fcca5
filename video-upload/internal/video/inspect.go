package video

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/bits"
	"net/http"

	"flixtube/chassis/web"
	"flixtube/contracts/codes"
	"flixtube/contracts/limits"
)

// ErrNoMoov is the answer to an MP4 or QuickTime file that no browser plays for want of its index. A recording that was
// interrupted has none, because it is written last.
var ErrNoMoov = web.Errorf(http.StatusUnsupportedMediaType, codes.MoovMissing, "the file is incomplete: it has no whole moov box, which is its index")

// Rejected reports whether err says that a file, whole as it is, is no video for browsers.
func Rejected(err error) bool { return errors.Is(err, ErrNotPlayable) || errors.Is(err, ErrNoMoov) }

// maxBoxes bounds how many parts of a file are looked at on each level. The index of a video comes after a few.
const maxBoxes = 10_000

// Inspect reads a whole video of a type that Type has returned, from its start, and returns the duration in seconds that the
// file itself says, or 0. It returns ErrNoMoov for a file without an index. It seeks where file can, and otherwise reads on.
func Inspect(contentType string, file io.Reader) (duration float64, err error) {
	s := &scanner{file: file}
	if seeker, ok := file.(io.Seeker); ok {
		if s.end, err = seeker.Seek(0, io.SeekEnd); err != nil {
			return 0, err
		}
		if _, err = seeker.Seek(0, io.SeekStart); err != nil {
			return 0, err
		}
		s.seeker = seeker
	}
	switch contentType {
	case "video/mp4", "video/quicktime":
		duration, err = s.mp4()
		if errors.Is(err, errNoPart) {
			err = ErrNoMoov
		}
	case "video/webm", "video/x-matroska":
		duration, err = s.matroska()
	}
	if errors.Is(err, errNoPart) {
		err = nil
	}
	if err != nil || !(duration > 0 && duration <= limits.Duration) {
		return 0, err
	}
	return duration, nil
}

// errNoPart means that the file ends, or makes no sense, before the part that is looked for.
var errNoPart = errors.New("the file does not have this part")

// scanner reads parts of a file and skips others.
type scanner struct {
	file    io.Reader
	seeker  io.Seeker // nil: what is skipped is read
	at, end int64     // for the seeker
}

func (s *scanner) read(p []byte) error {
	n, err := io.ReadFull(s.file, p)
	s.at += int64(n)
	return noPart(err)
}

func (s *scanner) skip(n int64) error {
	if s.seeker == nil {
		skipped, err := io.CopyN(io.Discard, s.file, n)
		s.at += skipped
		return noPart(err)
	}
	if n > s.end-s.at {
		return errNoPart
	}
	s.at += n
	_, err := s.seeker.Seek(s.at, io.SeekStart)
	return err
}

func noPart(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errNoPart
	}
	return err
}

// mp4 reads the duration from moov/mvhd (ISO/IEC 14496-12, 8.2). In a file of fragments that is the duration of the first at
// most, and moov/mvex/mehd (8.8.2) may have that of all. It fails with errNoPart unless there is a whole moov.
func (s *scanner) mp4() (float64, error) {
	moov, err := s.box("moov", math.MaxInt64)
	if err != nil {
		return 0, err
	}
	begin := s.at
	left := func() int64 { return moov - (s.at - begin) }
	scale, ticks, err := s.mvhd(moov)
	if err == nil {
		var mvex int64
		if mvex, err = s.box("mvex", left()); err == nil {
			ticks, err = s.mehd(mvex)
		}
	}
	if err != nil && !errors.Is(err, errNoPart) {
		return 0, err
	}
	duration := ticks / scale
	if moov == toTheEnd || left() < 0 {
		return duration, nil
	}
	return duration, s.skip(left())
}

func (s *scanner) mvhd(moov int64) (scale, ticks float64, err error) {
	b, n, err := s.start("mvhd", moov)
	switch {
	case err != nil:
		return 0, 0, err
	case n >= 20 && b[0] == 0:
		length := binary.BigEndian.Uint32(b[16:])
		if length == math.MaxUint32 {
			length = 0 // unknown
		}
		return float64(binary.BigEndian.Uint32(b[12:])), float64(length), nil
	case n == int64(len(b)) && b[0] == 1:
		return float64(binary.BigEndian.Uint32(b[20:])), float64(binary.BigEndian.Uint64(b[24:])), nil
	}
	return 0, 0, errNoPart
}

func (s *scanner) mehd(mvex int64) (ticks float64, err error) {
	b, n, err := s.start("mehd", mvex)
	switch {
	case err != nil:
		return 0, err
	case n >= 8 && b[0] == 0:
		return float64(binary.BigEndian.Uint32(b[4:])), nil
	case n >= 12 && b[0] == 1:
		return float64(binary.BigEndian.Uint64(b[4:])), nil
	}
	return 0, errNoPart
}

// start reads how the next box of a kind begins, within the next bytes, and skips the rest of it. It returns how much of b
// that is.
func (s *scanner) start(kind string, within int64) (b [32]byte, n int64, err error) {
	size, err := s.box(kind, within)
	if err != nil {
		return b, 0, err
	}
	n = min(size, int64(len(b)))
	if err := s.read(b[:n]); err != nil {
		return b, 0, err
	}
	return b, n, s.skip(size - n)
}

// toTheEnd is the size of a box that ends with the file.
const toTheEnd = math.MaxInt64

// box goes to the content of the next box of a kind, within the next bytes, and returns its size.
func (s *scanner) box(kind string, within int64) (size int64, err error) {
	for range maxBoxes {
		var b [8]byte
		if within < int64(len(b)) {
			return 0, errNoPart
		}
		if err := s.read(b[:]); err != nil {
			return 0, err
		}
		found, header := string(b[4:]), int64(len(b))
		size = int64(binary.BigEndian.Uint32(b[:]))
		if size == 1 { // the size follows
			if err := s.read(b[:]); err != nil {
				return 0, err
			}
			header += int64(len(b))
			size = int64(binary.BigEndian.Uint64(b[:])) //nolint:gosec // a negative size is rejected below
		}
		switch {
		case size == 0 && found == kind:
			return toTheEnd, nil
		case size < header:
			return 0, errNoPart // the last box, or no box at all
		case found == kind:
			return size - header, nil
		}
		if err := s.skip(size - header); err != nil {
			return 0, err
		}
		if within -= size; within < 0 {
			return 0, errNoPart
		}
	}
	return 0, errNoPart
}

// The elements of Matroska that matter here (RFC 9559).
const (
	segment         = 0x18538067
	segmentInfo     = 0x1549A966
	timestampScale  = 0x2AD7B1 // nanoseconds of a tick
	segmentDuration = 0x4489   // ticks
)

const unknownSize = -1

// matroska reads the duration from Segment/Info. A file that was streamed while it was made has none.
func (s *scanner) matroska() (float64, error) {
	for range maxBoxes {
		id, size, err := s.element()
		if err != nil {
			return 0, err
		}
		switch {
		case id == segment: // what follows is in it
			continue
		case size == unknownSize:
			return 0, errNoPart
		case id == segmentInfo:
			return s.info(size)
		}
		if err := s.skip(size); err != nil {
			return 0, err
		}
	}
	return 0, errNoPart
}

func (s *scanner) info(size int64) (float64, error) {
	scale, ticks := 1e6, 0.0
	end := s.at + size
	for n := 0; s.at < end && n < maxBoxes; n++ {
		id, size, err := s.element()
		if err != nil {
			return 0, err
		}
		var b [8]byte
		switch {
		case size == unknownSize:
			return 0, errNoPart
		case id == timestampScale && size <= 8:
			err = s.read(b[8-size:])
			scale = float64(binary.BigEndian.Uint64(b[:]))
		case id == segmentDuration && size == 4:
			err = s.read(b[:4])
			ticks = float64(math.Float32frombits(binary.BigEndian.Uint32(b[:])))
		case id == segmentDuration && size == 8:
			err = s.read(b[:])
			ticks = math.Float64frombits(binary.BigEndian.Uint64(b[:]))
		default:
			err = s.skip(size)
		}
		if err != nil {
			return 0, err
		}
	}
	return ticks * scale / 1e9, nil
}

// element reads the id and the size of an element (RFC 8794, 5 and 6). Its content is next.
func (s *scanner) element() (id uint64, size int64, err error) {
	id, _, err = s.variableInt(4)
	if err != nil {
		return 0, 0, err
	}
	n, width, err := s.variableInt(8)
	if err != nil {
		return 0, 0, err
	}
	n &^= 1 << (7 * width) // the marker of the width
	if n == 1<<(7*width)-1 {
		return id, unknownSize, nil
	}
	return id, int64(n), nil //nolint:gosec // of 8 bytes 56 bits are left
}

// variableInt reads a number of up to max bytes with its marker. The number of leading zeros says how many bytes it has.
func (s *scanner) variableInt(maximum int) (n uint64, width int, err error) {
	var b [8]byte
	if err := s.read(b[7:]); err != nil {
		return 0, 0, err
	}
	width = bits.LeadingZeros8(b[7]) + 1
	if width > maximum {
		return 0, 0, errNoPart
	}
	b[8-width] = b[7]
	if err := s.read(b[9-width:]); err != nil {
		return 0, 0, err
	}
	return binary.BigEndian.Uint64(b[:]), width, nil
}
