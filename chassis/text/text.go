// Package text cleans what people typed.
package text

import (
	"strings"
	"unicode"
)

// Line makes one line of text of what somebody typed, safe to be shown beside other text: without control
// characters, line breaks, and the marks that turn the direction in which the rest is read; trimmed. It is
// "" if nothing visible is left.
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
