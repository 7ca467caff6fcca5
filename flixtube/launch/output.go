package launch

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
)

// Output is a terminal, or a file, that several processes share: each writes whole lines under its name.
type Output struct {
	mu     sync.Mutex
	w      io.Writer
	width  int // of the names
	colour bool
	names  int // so far
	own    *Lines
}

// NewOutput writes to w.
func NewOutput(w io.Writer) *Output {
	o := &Output{w: w}
	for _, s := range services {
		o.width = max(o.width, len(s.name))
	}
	if f, ok := w.(*os.File); ok && os.Getenv("NO_COLOR") == "" {
		info, err := f.Stat()
		o.colour = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	o.own = o.Named("flixtube")
	return o
}

// Say writes a line of the launcher's own.
func (o *Output) Say(format string, args ...any) { fmt.Fprintf(o.own, format+"\n", args...) }

// Lines is an io.Writer that puts a name before each line.
type Lines struct {
	out     *Output
	prefix  string
	partial []byte // a line that has not ended yet
}

// maxLine is the length at which a line that does not end is broken, so that it takes no more memory.
const maxLine = 64 << 10

// Named returns a writer of lines under a name.
func (o *Output) Named(name string) *Lines {
	o.mu.Lock()
	defer o.mu.Unlock()
	prefix := fmt.Sprintf("%-*s | ", o.width, name)
	if o.colour {
		prefix = fmt.Sprintf("\x1b[%dm%s\x1b[0m", 31+o.names%6, prefix)
	}
	o.names++
	return &Lines{out: o, prefix: prefix}
}

// Write never fails: a service must not die because the terminal is gone.
func (l *Lines) Write(p []byte) (int, error) {
	l.out.mu.Lock()
	defer l.out.mu.Unlock()
	l.partial = append(l.partial, p...)
	for {
		end := bytes.IndexByte(l.partial, '\n')
		next := end + 1
		if end < 0 {
			if len(l.partial) < maxLine {
				return len(p), nil
			}
			end, next = maxLine, maxLine
		}
		l.print(l.partial[:end])
		l.partial = l.partial[:copy(l.partial, l.partial[next:])]
	}
}

// Flush writes a last line that did not end.
func (l *Lines) Flush() {
	l.out.mu.Lock()
	defer l.out.mu.Unlock()
	if len(l.partial) > 0 {
		l.print(l.partial)
		l.partial = nil
	}
}

func (l *Lines) print(line []byte) {
	whole := make([]byte, 0, len(l.prefix)+len(line)+1)
	whole = append(append(append(whole, l.prefix...), line...), '\n')
	_, _ = l.out.w.Write(whole)
}
