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
	if !strings.ContainsFunc(s, func(r rune) bool { return r != ' ' && unicode.IsPrint(r) }) {
		return ""
	}
	return s
}

// Truncate is Line, cut to at most limit characters.
func Truncate(s string, limit int) string {
	s = Line(s)
	if runes := []rune(s); len(runes) > limit {
		s = Line(string(runes[:limit])) // the cut may end in a space
	}
	return s
}
