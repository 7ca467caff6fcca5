package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// directory keeps each video in a directory of its own, named by its id:
//
//	<id>/video          the bytes and nothing else, so that sendfile can send them
//	<id>/about.json     the content type, and a tag that no other upload has
//	<id>/poster.jpg     the poster, if there is one
//	<id>/uploaded.json  the message by which the video was announced, once it was
//
// An upload is written into a directory that the process has for itself, and that it keeps locked. One rename moves it to
// its own name, and fails if that is in use. So several processes can share the store, where flock(2) works between them.
type directory struct {
	path  string
	root  *os.Root // no name leads out of it
	work  string   // the directory of this process
	alive *flock.Flock

	open      openFiles
	additions sync.Mutex // so that no file is moved into a directory that is being deleted
}

type about struct {
	ContentType string `json:"contentType"`
	Tag         string `json:"tag"`
}

// directoryUploads is how many uploads are stored at a time. Each takes less than 100 KiB of memory.
const directoryUploads = 64

// unfinished begins the names of the processes' own directories. No id begins with a dot.
const unfinished = ".unfinished-"

const (
	lockName         = "lock"
	announcementName = "uploaded.json"
)

// openDirectory opens the store in path, creates path if it is missing, and deletes the unfinished files of processes
// that were killed. The caller closes the store.
func openDirectory(path string) (*directory, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, fmt.Errorf("create VIDEOS_DIR: %w", err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("open VIDEOS_DIR: %w", err)
	}
	d := &directory{path: path, root: root, work: unfinished + rand.Text()}
	d.alive = flock.New(filepath.Join(path, d.work, lockName))
	if err := d.begin(); err != nil {
		return nil, errors.Join(fmt.Errorf("begin in VIDEOS_DIR: %w", err), root.Close())
	}
	return d, nil
}

// begin deletes what no process uses, and makes the directory of this one. One process at a time does so: a directory
// without a lock is not one that another has just made.
func (d *directory) begin() (err error) {
	beginning := flock.New(filepath.Join(d.path, ".beginning"))
	if err := beginning.Lock(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, beginning.Unlock()) }()
	if err := d.deleteUnfinished(); err != nil {
		return err
	}
	if err := d.root.Mkdir(d.work, 0o755); err != nil {
		return err
	}
	return d.alive.Lock()
}

func (d *directory) deleteUnfinished() error {
	entries, err := fs.ReadDir(d.root.FS(), ".")
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), unfinished) {
			continue
		}
		if entry.IsDir() {
			lock := flock.New(filepath.Join(d.path, entry.Name(), lockName))
			if free, lockErr := lock.TryLock(); lockErr != nil || !free {
				err = errors.Join(err, lockErr)
				continue
			}
			err = errors.Join(err, lock.Unlock())
		}
		err = errors.Join(err, d.root.RemoveAll(entry.Name()))
	}
	return err
}

// newName returns a name for a file or directory that is not finished.
func (d *directory) newName() string { return d.work + "/" + rand.Text() }

func (d *directory) Close() error {
	return errors.Join(d.open.Close(), d.alive.Unlock(), d.root.RemoveAll(d.work), d.root.Close())
}

func (d *directory) Ready(context.Context) error {
	_, err := os.Stat(d.path)
	return err
}

func (d *directory) Open(_ context.Context, id videoID) (*video, error) {
	file, ok := d.open.take(id, d.path+"/"+string(id)+"/video")
	if !ok {
		var err error
		if file, err = d.openFile(id); errors.Is(err, fs.ErrNotExist) {
			return nil, errNotFound
		} else if err != nil {
			return nil, err
		}
	}
	return &video{
		ReadSeekCloser: file.File,
		contentType:    file.about.ContentType,
		etag:           fmt.Sprintf(`"%s-%x"`, file.about.Tag, file.info.ModTime().UnixNano()), // changes with the file, too
		modified:       file.info.ModTime(),
		keep:           func() error { return d.open.put(file) },
	}, nil
}

func (d *directory) openFile(id videoID) (openFile, error) {
	dir, err := d.root.OpenRoot(string(id)) // both files from one upload, even if the id gets a new one now
	if err != nil {
		return openFile{}, err
	}
	defer dir.Close()
	data, err := dir.ReadFile("about.json")
	if err != nil {
		return openFile{}, err
	}
	var facts about
	if err := json.Unmarshal(data, &facts); err != nil {
		return openFile{}, fmt.Errorf("read about.json of video %s: %w", id, err)
	}
	file, err := dir.Open("video")
	if err != nil {
		return openFile{}, err
	}
	info, err := file.Stat()
	if err != nil {
		return openFile{}, errors.Join(err, file.Close())
	}
	return openFile{File: file, id: id, about: facts, info: info}, nil
}

func (d *directory) Create(ctx context.Context, id videoID, contentType string, body io.Reader) (err error) {
	temp := d.newName()
	if err := d.root.Mkdir(temp, 0o755); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.root.RemoveAll(temp))
		}
	}()
	facts, err := json.Marshal(about{ContentType: contentType, Tag: rand.Text()})
	if err != nil {
		return err
	}
	if err := d.write(temp+"/video", body); err != nil {
		return err
	}
	if err := d.write(temp+"/about.json", strings.NewReader(string(facts))); err != nil {
		return err
	}
	if err := d.sync(temp); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	err = d.root.Rename(temp, string(id))
	if errors.Is(err, fs.ErrExist) {
		return errExists
	}
	if err != nil {
		return err
	}
	return d.sync(".")
}

func (d *directory) Delete(_ context.Context, id videoID) error {
	temp := d.newName()
	d.additions.Lock()
	err := d.root.Rename(string(id), temp)
	d.additions.Unlock()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	d.open.forget(id)
	return errors.Join(d.sync("."), d.root.RemoveAll(temp))
}

func (d *directory) OpenPoster(_ context.Context, id videoID) (*video, error) {
	file, err := d.root.Open(string(id) + "/poster.jpg")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errPosterNotFound
	}
	if err != nil {
		return nil, err
	}
	poster, err := newPoster(file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return poster, nil
}

// newPoster makes the ETag from the bytes, which are few: two posters may have the same time of modification.
func newPoster(file *os.File) (*video, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return nil, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return &video{
		ReadSeekCloser: file, contentType: posterType, etag: fmt.Sprintf(`"%x"`, hash.Sum(nil)), modified: info.ModTime(),
	}, nil
}

func (d *directory) SavePoster(_ context.Context, id videoID, jpeg []byte) error {
	return d.add(id, "poster.jpg", jpeg)
}

func (d *directory) OpenAnnouncement(_ context.Context, id videoID) ([]byte, error) {
	message, err := d.root.ReadFile(string(id) + "/" + announcementName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNotFound
	}
	return message, err
}

func (d *directory) SaveAnnouncement(_ context.Context, id videoID, message []byte) error {
	return d.add(id, announcementName, message)
}

// add replaces a file beside a video.
func (d *directory) add(id videoID, name string, data []byte) (err error) {
	temp := d.newName()
	defer func() {
		if err != nil {
			err = errors.Join(err, d.root.RemoveAll(temp))
		}
	}()
	if err := d.write(temp, bytes.NewReader(data)); err != nil {
		return err
	}
	d.additions.Lock()
	defer d.additions.Unlock()
	err = d.root.Rename(temp, string(id)+"/"+name)
	if errors.Is(err, fs.ErrNotExist) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	return d.sync(string(id))
}

func (d *directory) StoredBetween(_ context.Context, from, to time.Time) ([]videoID, error) {
	entries, err := fs.ReadDir(d.root.FS(), ".")
	if err != nil {
		return nil, err
	}
	var ids []videoID
	for _, entry := range entries {
		id, err := parseID(entry.Name())
		if err != nil {
			continue
		}
		info, err := d.root.Stat(entry.Name() + "/video")
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted a moment ago, or not ours
		}
		if err != nil {
			return nil, err
		}
		if stored := info.ModTime(); !stored.Before(from) && stored.Before(to) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// write creates a file. It is on disk when write returns.
func (d *directory) write(name string, r io.Reader) error {
	file, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, r)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// sync flushes the names in a directory to disk.
func (d *directory) sync(name string) error {
	dir, err := d.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
