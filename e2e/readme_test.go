//go:build unix

package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"

	"flixtube/chassis/chassistest"
	"flixtube/flixtube/samples"
)

// TestReadmeDeliveries does what README.md says about the three ways to say viewed: its commands work, and each way leaves the
// lines in the log that are shown.
func TestReadmeDeliveries(t *testing.T) {
	startsOwn(t)
	bashPath := chassistest.Program(t, "bash")
	commands, outputs := readmeSection(t, "Three ways to say")
	if len(commands) != 3 || len(outputs) != 3 {
		t.Fatalf("README.md has the commands %q and the outputs %q", commands, outputs)
	}
	data, port := newData(t), chassistest.FreePort(t)
	bash := func(command string) *exec.Cmd {
		const instead = `go() { [ "$1 $2" = "run ./flixtube" ] || exit 64; shift 2; [ $# -gt 0 ] || set -- -port %s; exec %q -data %q "$@"; }; %s`
		return exec.Command(bashPath, "-euc", fmt.Sprintf(instead, port, filepath.Join(bin, "launcher"), data, command))
	}
	do := func(command string) {
		t.Helper()
		if output, err := bash(command).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, output)
		}
	}
	s := &site{url: "http://localhost:" + port}
	title := samples.Titles()[0]
	video, _, err := samples.Read(title)
	if err != nil {
		t.Fatal(err)
	}
	for i, delivery := range []string{"direct", "queue", "fanout"} {
		t.Run(delivery, func(t *testing.T) {
			var log chassistest.Buffer
			_, stop := startLauncher(t, bash(strings.Replace(commands[0], "=direct ", "="+delivery+" ", 1)), &log)
			v, view := newViewer(t, s), uuid.New()
			ids, err := v.titled(title)
			if err != nil || len(ids) != 1 {
				t.Fatalf("of %q are listed %q, error %v", title, ids, err)
			}
			shown := func(line string) bool { return readmeLine(line, view.String()).MatchString(log.String()) }
			waitFor := func(lines string) {
				t.Helper()
				for line := range strings.Lines(lines) {
					chassistest.Eventually(t, timeout, "the log has "+line, func() error {
						if !shown(line) {
							return errors.New("it has not")
						}
						return nil
					})
				}
			}
			do(commands[1])
			if err := v.watch(ids[0], view, video); err != nil {
				t.Fatal(err)
			}
			away, later, _ := strings.Cut(outputs[i], "history         | ... msg=listening ...\n")
			waitFor(away)
			for line := range strings.Lines(later) {
				if shown(line) {
					t.Errorf("while history is stopped the log has %s", line)
				}
			}
			do(commands[2])
			waitFor(later)
			v.wantHistory(ids[0])
			facts := regexp.MustCompile(`msg="fact .* id=`+view.String()).FindAllString(log.String(), -1)
			if len(facts) != strings.Count(outputs[i], " id=ID ") {
				t.Errorf("the view has left the lines %q, and README.md shows\n%s", facts, outputs[i])
			}
			stop()
		})
	}
}

// readmeSection returns the commands and the outputs that README.md shows below the heading that begins so.
func readmeSection(t *testing.T, heading string) (commands, outputs []string) {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## "+heading)
	section, _, _ = strings.Cut(section, "\n## ")
	for _, block := range regexp.MustCompile("(?ms)^```(sh|text)\n(.*?)^```$").FindAllStringSubmatch(section, -1) {
		if block[1] == "sh" {
			commands = append(commands, block[2])
		} else {
			outputs = append(outputs, block[2])
		}
	}
	return commands, outputs
}

// readmeLine matches a line of the log that README.md shows, in which "..." stands for anything, and a view has other numbers.
func readmeLine(line, id string) *regexp.Regexp {
	pattern := regexp.QuoteMeta(strings.TrimSpace(line))
	pattern = strings.NewReplacer(`\.\.\.`, `.*`, " id=ID ", " id="+id+" ").Replace(pattern)
	return regexp.MustCompile("(?m)^" + regexp.MustCompile(`delay_ms=\d+`).ReplaceAllString(pattern, `delay_ms=\d+`) + "$")
}
