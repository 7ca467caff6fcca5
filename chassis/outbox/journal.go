package outbox

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"flixtube/chassis/messaging"
)

// journal keeps facts that are accepted and not yet in the database file. Appending is one write(2) without a sync, some
// microseconds: what it wrote outlives the process, but not a power cut.
//
// It has two files. One is appended to; the other empties meanwhile, as its facts reach the database file in their order.
type journal struct {
	files   [2]journalFile
	current int
}

type journalFile struct {
	*os.File
	size    int64
	pending int // facts in it that are not in the database file
}

// journalTurn is the size at which a journal goes on in its other file, if that is empty.
const journalTurn = 1 << 20

// openJournal opens the journal that belongs to the database file at path, and returns the facts that it still has. Some
// of them may be in the database file, too.
func openJournal(path string) (*journal, []fact, error) {
	j := &journal{}
	var facts []fact
	for i := range j.files {
		f, err := os.OpenFile(fmt.Sprintf("%s.journal-%d", strings.TrimSuffix(path, ".db"), i), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, nil, errors.Join(err, j.close())
		}
		j.files[i].File = f
		if err := j.read(i, &facts); err != nil {
			return nil, nil, errors.Join(err, j.close())
		}
	}
	return j, facts, nil
}

// read adds the facts of file i to facts. It skips a line that is none: the last one of a full disk, or of a power cut.
func (j *journal) read(i int, facts *[]fact) error {
	f := &j.files[i]
	for r := bufio.NewReader(f); ; {
		line, err := r.ReadBytes('\n')
		f.size += int64(len(line))
		var m messaging.Message
		if json.Unmarshal(line, &m) == nil {
			*facts = append(*facts, fact{value: bytes.TrimSpace(line), journal: i + 1})
			f.add(1)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// append notes a fact in a journal file.
func (j *journal) append(f *fact) error {
	now, next := &j.files[j.current], &j.files[1-j.current]
	if now.size >= journalTurn && next.pending == 0 {
		now, j.current = next, 1-j.current
	}
	if _, err := now.WriteAt(append(f.value, '\n'), now.size); err != nil { // the next one goes over it
		return fmt.Errorf("write to the journal: %w", err)
	}
	now.size += int64(len(f.value)) + 1
	now.add(1)
	f.journal = j.current + 1
	return nil
}

// done notes that facts are in the database file. A file without others is emptied.
func (j *journal) done(batch []fact) error {
	for _, f := range batch {
		if f.journal > 0 {
			j.files[f.journal-1].add(-1)
		}
	}
	var errs []error
	for i := range j.files {
		if f := &j.files[i]; f.pending == 0 && f.size > 0 {
			if err := f.Truncate(0); err != nil {
				errs = append(errs, err)
				continue
			}
			f.size = 0
		}
	}
	return errors.Join(errs...)
}

func (f *journalFile) add(n int) {
	f.pending += n
	waiting.Add(float64(n))
}

func (j *journal) close() error {
	var errs []error
	for i := range j.files {
		f := &j.files[i]
		f.add(-f.pending)
		if f.File != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}
