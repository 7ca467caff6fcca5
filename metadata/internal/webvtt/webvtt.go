// Package webvtt turns a file with captions, WebVTT or SubRip (.srt), into WebVTT that browsers read without an error.
package webvtt

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Reason says what is wrong with a file.
type Reason string

// The reasons.
const (
	NotText   Reason = "the text must be UTF-8, or UTF-16 with a byte order mark"
	NoTiming  Reason = "there must be a time here, such as 00:01:02.500 --> 00:01:04.000"
	Backwards Reason = "a caption must end after it begins"
	NoBlank   Reason = "there must be a blank line before the next caption"
	TooMany   Reason = "there are too many captions"
	Empty     Reason = "there are no captions"
)

// Error is the first fault of a file.
type Error struct {
	Line   int // from 1
	Reason Reason
}

func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

const (
	byteOrderMark = "\ufeff"
	arrow         = "-->"
)

var (
	timing = regexp.MustCompile(`^[ \t]*(?:(\d{1,4}):)?([0-5]\d):([0-5]\d)[.,](\d{3})[ \t]*-->[ \t]*(?:(\d{1,4}):)?([0-5]\d):([0-5]\d)[.,](\d{3})(?:[ \t]+(.*))?$`)

	// A region is not among the settings, because regions are dropped.
	setting = regexp.MustCompile(`^(?:vertical:(?:rl|lr)|line:-?\d{1,3}(?:\.\d{1,3})?%?(?:,(?:start|center|end))?|` +
		`position:\d{1,3}(?:\.\d{1,3})?%(?:,(?:line-left|center|line-right))?|size:\d{1,3}(?:\.\d{1,3})?%|align:(?:start|center|end|left|right))$`)

	subRipStyle = regexp.MustCompile(`\{\\[^{}]*\}|</?font[^<>]*>`)               // {\an8}: for other players
	subRipTag   = regexp.MustCompile(`&lt;(/?[biu])&gt;`)                         // the tags that WebVTT has, too
	escapeText  = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")     // SubRip has no escapes
	restoreRefs = regexp.MustCompile(`&amp;(amp|lt|gt|nbsp|lrm|rlm);`)            // but some programs write them
	comments    = regexp.MustCompile(`^(?:NOTE|STYLE|REGION)(?:[ \t].*)?$`)       // blocks that are dropped, but for a line with an arrow
	header      = regexp.MustCompile(`^WEBVTT(?:[ \t].*)?$`)                      //
	lineEnds    = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\x00", "\ufffd") // as browsers read them
	encoding    = unicode.BOMOverride(transform.Nop)                              // UTF-16 only with its mark
)

type cue struct {
	begin, end time.Duration
	settings   []string
	text       []string
}

// Convert returns the captions of a file as WebVTT, in the order of their times: their texts, and where they are shown. Comments,
// styles, regions and names of captions are dropped. Its error is an *Error.
func Convert(file []byte, maxCues int) ([]byte, error) {
	decoded, _, err := transform.Bytes(encoding, file)
	if err != nil || !utf8.Valid(decoded) {
		return nil, &Error{lineOfInvalid(file), NotText}
	}
	p := parser{lines: strings.Split(lineEnds.Replace(strings.TrimPrefix(string(decoded), byteOrderMark)), "\n"), maxCues: maxCues}
	if p.subRip = !header.MatchString(p.lines[0]); !p.subRip {
		p.next++
		p.skipBlock()
	}
	if err := p.parse(); err != nil {
		return nil, err
	}
	if len(p.cues) == 0 {
		return nil, &Error{1, Empty}
	}
	slices.SortStableFunc(p.cues, func(a, b cue) int { return int(a.begin - b.begin) })
	return write(p.cues), nil
}

func lineOfInvalid(file []byte) int {
	for i, line := range bytes.Split(file, []byte("\n")) {
		if !utf8.Valid(line) {
			return i + 1
		}
	}
	return 1
}

type parser struct {
	lines   []string
	next    int // the line to look at
	subRip  bool
	maxCues int
	cues    []cue
}

func (p *parser) fault(reason Reason) error { return &Error{min(p.next+1, len(p.lines)), reason} }

// blank reports whether the next line separates blocks. Some SubRip files have spaces in it.
func (p *parser) blank() bool {
	line := p.lines[p.next]
	return line == "" || p.subRip && strings.TrimSpace(line) == ""
}

func (p *parser) more() bool { return p.next < len(p.lines) }

// skipBlock goes to the next blank line, or to the next time.
func (p *parser) skipBlock() {
	for p.more() && !p.blank() && !strings.Contains(p.lines[p.next], arrow) {
		p.next++
	}
}

func (p *parser) parse() error {
	for p.more() {
		switch {
		case p.blank():
			p.next++
			continue
		case !p.subRip && comments.MatchString(p.lines[p.next]) && !strings.Contains(p.lines[p.next], arrow):
			p.skipBlock()
			continue
		case !strings.Contains(p.lines[p.next], arrow): // the name of the caption
			if p.next++; !p.more() {
				return p.fault(NoTiming)
			}
		}
		if err := p.cue(); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) cue() error {
	m := timing.FindStringSubmatch(p.lines[p.next])
	if m == nil {
		return p.fault(NoTiming)
	}
	c := cue{begin: at(m[1:5]), end: at(m[5:9])}
	if c.end <= c.begin {
		return p.fault(Backwards)
	}
	if len(p.cues) == p.maxCues {
		return p.fault(TooMany)
	}
	if !p.subRip { // those of SubRip are pixels
		for _, s := range strings.Fields(m[9]) {
			if setting.MatchString(s) {
				c.settings = append(c.settings, s)
			}
		}
	}
	for p.next++; p.more() && !p.blank(); p.next++ {
		if strings.Contains(p.lines[p.next], arrow) {
			return p.fault(NoBlank)
		}
		c.text = append(c.text, p.text(p.lines[p.next]))
	}
	p.cues = append(p.cues, c)
	return nil
}

// text returns a line as WebVTT.
func (p *parser) text(line string) string {
	if !p.subRip {
		return line
	}
	line = escapeText.Replace(subRipStyle.ReplaceAllString(line, ""))
	return subRipTag.ReplaceAllString(restoreRefs.ReplaceAllString(line, "&$1;"), "<$1>")
}

// at adds hours, minutes, seconds and milliseconds, which are digits; hours may be missing.
func at(parts []string) (d time.Duration) {
	for i, unit := range []time.Duration{time.Hour, time.Minute, time.Second, time.Millisecond} {
		n, _ := strconv.Atoi(parts[i])
		d += time.Duration(n) * unit
	}
	return d
}

func write(cues []cue) []byte {
	var b bytes.Buffer
	b.WriteString("WEBVTT\n")
	for _, c := range cues {
		fmt.Fprintf(&b, "\n%s %s %s", clock(c.begin), arrow, clock(c.end))
		for _, s := range c.settings {
			b.WriteString(" " + s)
		}
		b.WriteString("\n")
		for _, line := range c.text {
			b.WriteString(line + "\n")
		}
	}
	return b.Bytes()
}

func clock(d time.Duration) string {
	return fmt.Sprintf("%02d:%02d:%02d.%03d", d/time.Hour, d/time.Minute%60, d/time.Second%60, d/time.Millisecond%1000)
}
