//go:build unix

package workshop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// compareBlocks says where the code blocks and pictures of two texts differ.
func compareBlocks(one, other string) error {
	var all [2][]block
	for i, path := range []string{one, other} {
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		_, all[i], _ = parse(source) // whether the English text is right is not asked here
	}
	for i := range max(len(all[0]), len(all[1])) {
		if i >= len(all[0]) || i >= len(all[1]) || all[0][i] != all[1][i] {
			return fmt.Errorf("code block or picture %d differs", i+1)
		}
	}
	return nil
}

const sample = `# A text

Write "greeting.txt" into ~greeting.txt~:

~~~text greeting.txt
hello
world
~~~

Change it in ~greeting.txt~:

~~~diff greeting.txt
 hello
-world
+reader
~~~

~~~sh
cat greeting.txt; echo $((40 + 2)) and more
~~~

~~~output
hello
...
42 and ...
~~~

<details><summary>In a terminal ~ticks~</summary>

In the terminal ~ticks~:

~~~sh ticks
echo begun; exec sleep 100
~~~

The terminal ~ticks~ shows:

~~~output ticks
begun
~~~

Press Ctrl-C in the terminal ~ticks~.

</details>

Undo the change.

~~~sh
cat greeting.txt
~~~

~~~output
hello
world
~~~

~~~sh fails
cat nothing
~~~
`

// TestReader sees the sample pass, and fail for each thing that can be wrong in it.
func TestReader(t *testing.T) {
	for name, tc := range map[string]struct{ old, broken, want string }{
		"right":                        {"", "", ""},
		"a wrong output":               {"42 and", "43 and", "the text says"},
		"more output":                  {"hello\n...\n42 and ...", "hello", "the text says"},
		"a wrong command":              {"cat greeting.txt;", "cat greetings.txt;", "No such file"},
		"a command not failing":        {"cat nothing", "true", "did not fail"},
		"a wrong diff":                 {"-world", "-words", "0 times in the file"},
		"a file not shown":             {"into ~greeting.txt~", "into a file", "does not name `greeting.txt`"},
		"a terminal not shown":         {"In the terminal ~ticks~", "There", "does not name `ticks`"},
		"nothing appears":              {"begun\n~~~\n\nPress", "ended\n~~~\n\nPress", "the text says"},
		"no Ctrl-C":                    {"Press Ctrl-C in the terminal ~ticks~", "Go on", "still runs"},
		"a Ctrl-C too many":            {"Undo the change", "Press Ctrl-C in the terminal ~ticks~ again", "nothing runs"},
		"not undone":                   {"Undo the change", "Go on", "the text says"},
		"a kind that nothing executes": {"~~~sh fails", "~~~python", `nothing executes a block of "python"`},
		"an indented block":            {"Undo the change.", "Now:\n\n    rm greeting.txt\n", "nothing executes an indented block"},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.old != "" && !strings.Contains(sample, tc.old) {
				t.Fatalf("the sample has no %q", tc.old)
			}
			text := strings.ReplaceAll(strings.Replace(sample, tc.old, tc.broken, 1), "~", "`")
			steps, _, err := parse([]byte(text))
			if err == nil {
				reader, newErr := newReader(t.TempDir(), t.TempDir(), t.TempDir())
				if newErr != nil {
					t.Fatal(newErr)
				}
				reader.limit = shortTimeout
				if err := os.MkdirAll(reader.dir, 0o755); err != nil {
					t.Fatal(err)
				}
				err = reader.do(t.Context(), steps)
			}
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("%v, and not %q", err, tc.want)
			}
		})
	}
}

func TestCompareBlocks(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "~", "`")), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	english := write("README.md", sample)
	for name, tc := range map[string]struct {
		text  string
		equal bool
	}{
		"another language":   {strings.Replace(sample, "A text", "글", 1), true},
		"another command":    {strings.Replace(sample, "cat nothing", "cat  nothing", 1), false},
		"a block is missing": {strings.Replace(sample, "~~~sh fails\ncat nothing\n~~~\n", "", 1), false},
		"another file":       {strings.Replace(sample, "~~~text greeting.txt", "~~~text greetings.txt", 1), false},
	} {
		err := compareBlocks(english, write("README.ko.md", tc.text))
		if (err == nil) != tc.equal {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestStart starts each chapter, and refuses to write into a folder that is in use.
func TestStart(t *testing.T) {
	repository := repository(t)
	chapters, err := Chapters(repository)
	if err != nil {
		t.Fatal(err)
	}
	for i, chapter := range chapters {
		dir := filepath.Join(t.TempDir(), "new")
		if err := Start(repository, chapter.Number, dir); err != nil {
			t.Fatal(err)
		}
		var want []string
		if i > 0 {
			if want, err = Code(chapters[i-1].Dir); err != nil {
				t.Fatal(err)
			}
		}
		got, err := Code(dir)
		if err != nil || strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("chapter %d begins with %q (%v), and the one before ends with %q", chapter.Number, got, err, want)
		}
		if err := Start(repository, chapter.Number, dir); err == nil || !strings.Contains(err.Error(), "is not empty") {
			t.Errorf("chapter %d into a folder in use: %v", chapter.Number, err)
		}
	}
	if err := Start(repository, 99, t.TempDir()); err == nil {
		t.Error("there is a chapter 99")
	}
}
