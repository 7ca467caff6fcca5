// Package text cleans text that people typed.
package text

import (
	"strings"
	"unicode"
)

// Line returns s as one line that is safe to show beside other text: trimmed, without control characters, line breaks
// and the marks that change the reading direction of what follows. It returns "" if nothing visible is left.
func Line(s string) string {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
			return -1
		}
		return r
	}, s))
	if !strings.ContainsFunc(s, func(r rune) bool { return r != ' ' && unicode.IsPrint(r) && !Blank(r) }) {
		return ""
	}
	return s
}

// Blank tells whether r shows nothing although Unicode counts it as a letter, a symbol or a mark: fillers, selectors, the
// empty pattern of Braille, and the empty note head.
func Blank(r rune) bool {
	return r == '\u2800' || r == '\U0001D159' || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// Truncate is Line, cut to at most limit characters.
func Truncate(s string, limit int) string {
	s = Line(s)
	if runes := []rune(s); len(runes) > limit {
		s = Line(string(runes[:limit])) // the cut may end in a space
	}
	return s
}
