package text

import "testing"

func TestLine(t *testing.T) {
	for given, want := range map[string]string{
		"  My holiday ":                      "My holiday",
		"a\x00b\r\nc\td\u2028e":              "abcde",
		"evil\u202e4pm.exe\u2066":            "evil4pm.exe",
		"Käse 映画 \U0001F468\u200d\U0001F469": "Käse 映画 \U0001F468\u200d\U0001F469",
		" \u200b\ufeff\u00a0":                "",
		"\u3164":                             "", // letters, symbols and marks that show nothing
		"\u2800 \u2800":                      "",
		"\u115f\u1160\uffa0":                 "",
		"\u034f\ufe0f\U000e0100\u180b":       "",
		"\U0001d159":                         "",
		"\u2060\u00ad\u180e":                 "",
		"\U000e0041":                         "",
		"❤\ufe0f":                            "❤\ufe0f",
		"ㄱ\u3164":                            "ㄱ\u3164",
		"a\xffb":                             "a\uFFFDb",
		"":                                   "",
	} {
		if got := Line(given); got != want {
			t.Errorf("Line(%q) = %q, want %q", given, got, want)
		}
	}
}

func TestTruncate(t *testing.T) {
	for _, test := range []struct {
		given string
		limit int
		want  string
	}{
		{"äöü", 3, "äöü"},
		{"äöüß", 3, "äöü"},
		{"ab cd", 3, "ab"},
		{"  abc  ", 3, "abc"},
		{"\x00\x00\x00abc", 3, "abc"}, // characters that Line removes do not count
		{"\u200b\u200babc", 2, ""},
	} {
		if got := Truncate(test.given, test.limit); got != test.want {
			t.Errorf("Truncate(%q, %d) = %q, want %q", test.given, test.limit, got, test.want)
		}
	}
}
