package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
)

// output is a terminal, or a file, that several processes share: each writes whole lines under its name.
type output struct {
	mu     sync.Mutex
	w      io.Writer
	width  int // of the names
	colour bool
	taken  int // names so far
}

func newOutput(w io.Writer) *output {
	o := &output{w: w}
	for _, s := range services {
		o.width = max(o.width, len(s.name))
	}
	if f, ok := w.(*os.File); ok && os.Getenv("NO_COLOR") == "" {
		info, err := f.Stat()
		o.colour = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return o
}

// lines is an io.Writer that puts a name before each line.
type lines struct {
	out     *output
	prefix  string
	partial []byte // a line whose end has not come yet
}

// maxLine is where a line that does not end is broken, so that it takes no more memory.
const maxLine = 64 << 10

func (o *output) named(name string) *lines {
	o.mu.Lock()
	defer o.mu.Unlock()
	prefix := fmt.Sprintf("%-*s | ", o.width, name)
	if o.colour {
		prefix = fmt.Sprintf("\x1b[%dm%s\x1b[0m", 31+o.taken%6, prefix)
	}
	o.taken++
	return &lines{out: o, prefix: prefix}
}

// Write never fails: a service must not die of a terminal that is gone.
func (l *lines) Write(p []byte) (int, error) {
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

// Flush writes out a last line that has no end.
func (l *lines) Flush() {
	l.out.mu.Lock()
	defer l.out.mu.Unlock()
	if len(l.partial) > 0 {
		l.print(l.partial)
		l.partial = nil
	}
}

func (l *lines) print(line []byte) {
	whole := make([]byte, 0, len(l.prefix)+len(line)+1)
	whole = append(append(append(whole, l.prefix...), line...), '\n')
	_, _ = l.out.w.Write(whole)
}

// say writes one line.
func (l *lines) say(format string, args ...any) { fmt.Fprintf(l, format+"\n", args...) }
