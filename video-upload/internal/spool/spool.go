// Package spool keeps the files of unfinished uploads on disk, until their videos are stored and announced.
package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
)

// Spool is a directory of uploads. Processes that share it need nothing but its files:
//
//	<id>         the bytes that have arrived
//	<id>.done    the same file, truncated, once the video is stored and announced
//	<id>.info    what is known about the upload; written once
//	<id>.jpg     the poster
//	<id>.lock    locked with flock(2) by the process that changes any of these but the poster
//	<id>.wanted  exists while another request waits for the lock
type Spool struct {
	dir   string
	limit int64 // bytes of one upload

	creating sync.Mutex // so that uploads that are created at the same time see each other

	cache sync.Mutex
	known map[string]Info // of unfinished uploads: an info never changes
}

const (
	donePart   = ".done"
	infoPart   = ".info"
	posterPart = ".jpg"
	lockPart   = ".lock"
	wantedPart = ".wanted"
)

// MaxOpen is how many unfinished uploads one viewer may have.
const MaxOpen = 20

// bounds are those of some of the uploads. Bytes are given as a multiple of the limit of one upload. New uploads are
// rejected long before those in progress, so that these can end.
type bounds struct {
	open   int   // unfinished uploads
	create int64 // with so many bytes on disk, none is created
	resume int64 // and with so many, none continues
}

// A client that rejects cookies is another viewer each time, and an attacker may have several addresses. No share is
// more than a third of what all have to create uploads.
var (
	ofViewer  = bounds{MaxOpen, 1, 2}
	ofAddress = bounds{100, 2, 3}
	ofAll     = bounds{1000, 9, 16}
)

const (
	checkEvery = 16 << 20 // bytes between two looks at the space in use

	keepFor      = 24 * time.Hour   // an upload without progress, and the trace of a finished one
	keepEmptyFor = 10 * time.Minute // an upload without a byte
	idleAfter    = 10 * time.Minute // without progress: it may be removed to make room
)

// Errors for the callers to tell apart.
var (
	ErrNotFound    = errors.New("there is no such upload")
	ErrNoSpace     = errors.New("no space is left in the spool")
	ErrBusy        = errors.New("too many uploads are unfinished")
	ErrShare       = errors.New("the unfinished uploads of this viewer, or of this address, are too many or too large")
	ErrTooManyOpen = errors.New("too many uploads of this viewer are unfinished")
)

// Open returns the spool in dir, which is created if it is missing and may be shared with other processes. limit is the
// size of the largest upload, in bytes.
func Open(dir string, limit int64) (*Spool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create UPLOADS_DIR: %w", err)
	}
	return &Spool{dir: dir, limit: limit}, nil
}

// IsID reports whether id is the id of an upload, as uuid.NewString makes it. It is then safe as a part of a path.
func IsID(id string) bool {
	u, err := uuid.Parse(id)
	return err == nil && u.String() == id
}

func (s *Spool) path(id, part string) string { return filepath.Join(s.dir, id+part) }

// Info is what is known about an upload when it is created.
type Info struct {
	ID       string
	Size     int64 // bytes
	MetaData Metadata
}

// Metadata is kept with an upload.
type Metadata struct {
	FileName string `json:"filename"`
	Duration string `json:"duration,omitempty"` // as the client says
	Owner    string `json:"owner"`              // the viewer who created the upload
	Address  string `json:"address,omitempty"`  // from where, as limits are counted by it
	FactID   string `json:"fact"`               // of the announcement
}

// Upload is the state of an upload on disk.
type Upload struct {
	Info
	Offset   int64     // bytes that have arrived
	Finished bool      // the video is stored and announced
	Modified time.Time // when the last bytes arrived, or when it was finished
}

// Complete reports whether all bytes have arrived. No client changes the upload after that.
func (u Upload) Complete() bool { return u.Size > 0 && u.Offset == u.Size }

// Expired reports whether the upload can be removed. A complete one that is not finished never expires: its client was
// told that the video is safe.
func (u Upload) Expired() bool {
	age := time.Since(u.Modified)
	switch {
	case u.Finished:
		return age > keepFor
	case u.Complete():
		return false
	}
	return age > keepFor || u.Offset == 0 && age > keepEmptyFor
}

// Create begins an upload. It returns ErrTooManyOpen, ErrShare or ErrBusy if it may not begin now, and ErrNoSpace on a
// full disk, and leaves nothing behind then.
func (s *Spool) Create(info Info) error {
	s.creating.Lock()
	defer s.creating.Unlock()
	if err := s.admit(info.MetaData); err != nil {
		return err
	}
	return s.write(info)
}

func (s *Spool) write(info Info) error {
	data, err := json.Marshal(info)
	if err != nil {
		return err
	}
	// The info is last: without it the data belongs to no upload.
	err = os.WriteFile(s.path(info.ID, ""), nil, 0o600)
	if err == nil {
		err = os.WriteFile(s.path(info.ID, infoPart), data, 0o600)
	}
	if err != nil {
		return noSpace(errors.Join(err, s.Remove(info.ID)))
	}
	return nil
}

// Find reads the state of an upload, or returns ErrNotFound.
func (s *Spool) Find(id string) (Upload, error) {
	var up Upload
	var err error
	if up.Info, err = s.info(id); err != nil {
		return up, err
	}
	stat, err := os.Stat(s.path(id, ""))
	if err == nil {
		up.Offset, up.Modified = stat.Size(), stat.ModTime()
		return up, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return up, err
	}
	stat, err = os.Stat(s.path(id, donePart))
	if err != nil {
		return up, notFound(err)
	}
	up.Finished, up.Offset, up.Modified = true, up.Size, stat.ModTime()
	return up, nil
}

// info reads what is known about an upload, or returns ErrNotFound. An info that a crash or a full disk has truncated has
// no owner, so that no client sees the upload. It expires.
func (s *Spool) info(id string) (info Info, err error) {
	data, err := os.ReadFile(s.path(id, infoPart))
	if err != nil {
		return info, notFound(err)
	}
	_ = json.Unmarshal(data, &info)
	return info, nil
}

// Append adds the bytes of src, and returns how many have arrived. It returns ErrNoSpace on a full disk or when the
// uploads of the viewer, of the address or of all hold too much; the bytes before that are kept.
func (s *Spool) Append(up Upload, src io.Reader) (n int64, err error) {
	data, err := os.OpenFile(s.path(up.ID, ""), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return 0, err
	}
	defer func() { err = noSpace(errors.Join(err, data.Close())) }()
	for {
		if err := s.checkSpace(up.MetaData); err != nil {
			return n, err
		}
		more, err := io.CopyN(data, src, checkEvery)
		n += more
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// ReadHead reads the first len(p) bytes that have arrived.
func (s *Spool) ReadHead(id string, p []byte) error {
	file, err := s.OpenData(id)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := io.ReadFull(file, p); err != nil {
		return fmt.Errorf("read the start of %s: %w", id, err)
	}
	return nil
}

// OpenData opens the bytes that have arrived. The caller closes the file.
func (s *Spool) OpenData(id string) (*os.File, error) { return os.Open(s.path(id, "")) }

// SavePoster keeps a poster with the upload, and replaces the one before. It returns ErrNoSpace on a full disk.
func (s *Spool) SavePoster(id string, jpeg []byte) error {
	temp, err := os.CreateTemp(s.dir, id+".*.tmp")
	if err != nil {
		return noSpace(err)
	}
	_, err = temp.Write(jpeg)
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), s.path(id, posterPart))
	}
	if err != nil {
		return noSpace(errors.Join(err, os.Remove(temp.Name())))
	}
	return nil
}

// Poster returns the poster of an upload, or ErrNotFound.
func (s *Spool) Poster(id string) ([]byte, error) {
	jpeg, err := os.ReadFile(s.path(id, posterPart))
	return jpeg, notFound(err)
}

// MarkFinished records that the video is stored and announced. What is left tells clients that missed the last response.
func (s *Spool) MarkFinished(id string) error {
	return os.Rename(s.path(id, ""), s.path(id, donePart))
}

// FreeSpace deletes the bytes and the poster of a finished upload.
func (s *Spool) FreeSpace(id string) error {
	err := os.Remove(s.path(id, posterPart))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, os.Truncate(s.path(id, donePart), 0))
}

// Remove deletes all files of an upload, first the one that makes it one.
func (s *Spool) Remove(id string) error {
	var failed error
	for _, part := range []string{infoPart, "", donePart, posterPart} {
		if err := os.Remove(s.path(id, part)); !errors.Is(err, os.ErrNotExist) {
			failed = errors.Join(failed, err)
		}
	}
	_ = os.Remove(s.path(id, wantedPart))
	_ = os.Remove(s.path(id, lockPart)) // Windows keeps it while it is locked; RemoveOrphans deletes it later
	return failed
}

// Sync flushes an upload to disk.
func (s *Spool) Sync(id string) error {
	names, flag := []string{s.path(id, ""), s.path(id, infoPart), s.dir}, os.O_RDONLY
	if runtime.GOOS == "windows" {
		names, flag = names[:2], os.O_RDWR // Windows syncs no directories, and only files that are open for writing
	}
	for _, name := range names {
		if err := syncFile(name, flag); err != nil {
			return fmt.Errorf("sync upload %s: %w", id, err)
		}
	}
	return nil
}

func syncFile(name string, flag int) error {
	file, err := os.OpenFile(name, flag, 0)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// IDs returns the ids of all uploads, finished ones as well.
func (s *Spool) IDs() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, entry := range entries {
		if id, ok := strings.CutSuffix(entry.Name(), infoPart); ok && IsID(id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// UnfinishedOf returns the unfinished uploads of a viewer, the last changed first.
func (s *Spool) UnfinishedOf(owner string) ([]Upload, error) {
	ups, err := s.unfinished()
	if err != nil {
		return nil, err
	}
	ups = slices.DeleteFunc(ups, func(up Upload) bool { return up.MetaData.Owner != owner || up.Expired() })
	slices.SortFunc(ups, func(a, b Upload) int { return b.Modified.Compare(a.Modified) })
	return ups, nil
}

// RemoveOrphans deletes old files that belong to no upload, such as those that a crash has left.
func (s *Spool) RemoveOrphans() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	var failed error
	for _, entry := range entries {
		if id, _, _ := strings.Cut(entry.Name(), "."); IsID(id) {
			failed = errors.Join(failed, s.removeOrphan(id, entry))
		}
	}
	return failed
}

func (s *Spool) removeOrphan(id string, entry os.DirEntry) error {
	stat, err := entry.Info()
	if errors.Is(err, os.ErrNotExist) || err == nil && time.Since(stat.ModTime()) <= keepFor {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := s.Find(id); !errors.Is(err, ErrNotFound) {
		return err
	}
	if err := os.Remove(filepath.Join(s.dir, entry.Name())); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func notFound(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return ErrNotFound
	}
	return err
}

func noSpace(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return errors.Join(ErrNoSpace, err)
	}
	return err
}
