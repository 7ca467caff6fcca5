package launch

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
)

func TestLinesAreWholeAndNamed(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	tests := map[string]struct {
		writes []string
		want   string
	}{
		"one":          {[]string{"a\n"}, "history         | a\n"},
		"several":      {[]string{"a\n\nb\n"}, "history         | a\nhistory         | \nhistory         | b\n"},
		"in parts":     {[]string{"a", "b", "\nc", "\n"}, "history         | ab\nhistory         | c\n"},
		"without end":  {[]string{"a\nb"}, "history         | a\nhistory         | b\n"},
		"very long":    {[]string{long + "y\nz\n"}, "history         | " + long + "y\nhistory         | z\n"},
		"without ends": {[]string{long[:9], long, "y"}, "history         | " + long + "\nhistory         | xxxxxxxxxy\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var buf bytes.Buffer
			l := NewOutput(&buf).Named("history")
			for _, w := range test.writes {
				if n, err := l.Write([]byte(w)); n != len(w) || err != nil {
					t.Fatalf("Write = %d, %v", n, err)
				}
			}
			l.Flush()
			if got := buf.String(); got != test.want {
				t.Errorf("got %.200q\nwant %.200q", got, test.want)
			}
		})
	}
}

func TestLinesOfSeveralWritersDoNotMix(t *testing.T) {
	var buf bytes.Buffer
	out := NewOutput(&buf)
	var wg sync.WaitGroup
	for i := range 4 {
		l := out.Named(fmt.Sprint("s", i))
		wg.Go(func() {
			for range 100 {
				fmt.Fprintf(l, "from %d", i)
				fmt.Fprintf(l, " and on\n")
			}
		})
	}
	wg.Wait()
	counts := map[string]int{}
	for line := range strings.Lines(buf.String()) {
		counts[line]++
	}
	for i := range 4 {
		if n := counts[fmt.Sprintf("%-15s | from %d and on\n", fmt.Sprint("s", i), i)]; n != 100 {
			t.Errorf("writer %d: %d whole lines of 100", i, n)
		}
	}
}
