package text

import "testing"

func TestLine(t *testing.T) {
	for given, want := range map[string]string{
		"  My holiday ":                      "My holiday",
		"a\x00b\r\nc\td\u2028e":              "abcde",
		"evil\u202e4pm.exe\u2066":            "evil4pm.exe",
		"Käse 映画 \U0001F468\u200d\U0001F469": "Käse 映画 \U0001F468\u200d\U0001F469",
		" \u200b\ufeff\u00a0":                "",
		"a\xffb":                             "a\uFFFDb",
		"":                                   "",
	} {
		if got := Line(given); got != want {
			t.Errorf("Line(%q) = %q, want %q", given, got, want)
		}
	}
}
