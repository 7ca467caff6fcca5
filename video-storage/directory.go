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
	"strings"
	"sync"
	"time"
)

// directory keeps each video in a directory of its own, named by its id:
//
//	<id>/video        the bytes and nothing else, so that sendfile can send them
//	<id>/about.json   the content type, and a tag that no other upload has
//	<id>/poster.jpg   the poster, if there is one
//
// An upload is written under another name. One rename gives it its own, and fails if that is in use.
type directory struct {
	path string
	root *os.Root // no name leads out of it

	posters sync.Mutex // so that no poster is moved into a directory that is being deleted
}

type about struct {
	ContentType string `json:"contentType"`
	Tag         string `json:"tag"`
}

// directoryUploads is how many uploads are stored at a time. Each takes less than 100 KiB of memory.
const directoryUploads = 64

// unfinished begins the names of uploads and deletions in progress. No id begins with a dot.
const unfinished = ".unfinished-"

// openDirectory opens the store in path, creates path if it is missing, and deletes the unfinished files of a process
// that was killed. The caller closes the store.
func openDirectory(path string) (*directory, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, fmt.Errorf("create VIDEOS_DIR: %w", err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("open VIDEOS_DIR: %w", err)
	}
	d := &directory{path: path, root: root}
	if err := d.deleteUnfinished(); err != nil {
		return nil, errors.Join(fmt.Errorf("delete unfinished files in VIDEOS_DIR: %w", err), root.Close())
	}
	return d, nil
}

func (d *directory) deleteUnfinished() error {
	entries, err := fs.ReadDir(d.root.FS(), ".")
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), unfinished) {
			err = errors.Join(err, d.root.RemoveAll(entry.Name()))
		}
	}
	return err
}

func (d *directory) Close() error { return d.root.Close() }

func (d *directory) Ready(context.Context) error {
	_, err := os.Stat(d.path)
	return err
}

func (d *directory) Open(_ context.Context, id videoID) (*video, error) {
	v, err := d.open(id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNotFound
	}
	return v, err
}

func (d *directory) open(id videoID) (*video, error) {
	dir, err := d.root.OpenRoot(string(id)) // both files from one upload, even if the id gets a new one now
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	data, err := dir.ReadFile("about.json")
	if err != nil {
		return nil, err
	}
	var facts about
	if err := json.Unmarshal(data, &facts); err != nil {
		return nil, fmt.Errorf("read about.json of video %s: %w", id, err)
	}
	file, err := dir.Open("video")
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &video{
		ReadSeekCloser: file,
		contentType:    facts.ContentType,
		etag:           fmt.Sprintf(`"%s-%x"`, facts.Tag, info.ModTime().UnixNano()), // changes with the file, too
		modified:       info.ModTime(),
	}, nil
}

func (d *directory) Create(ctx context.Context, id videoID, contentType string, body io.Reader) (err error) {
	temp := unfinished + rand.Text()
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
	temp := unfinished + rand.Text()
	d.posters.Lock()
	err := d.root.Rename(string(id), temp)
	d.posters.Unlock()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
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

func (d *directory) SavePoster(_ context.Context, id videoID, jpeg []byte) (err error) {
	temp := unfinished + rand.Text()
	defer func() {
		if err != nil {
			err = errors.Join(err, d.root.RemoveAll(temp))
		}
	}()
	if err := d.write(temp, bytes.NewReader(jpeg)); err != nil {
		return err
	}
	d.posters.Lock()
	defer d.posters.Unlock()
	err = d.root.Rename(temp, string(id)+"/poster.jpg")
	if errors.Is(err, fs.ErrNotExist) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	return d.sync(string(id))
}

func (d *directory) StoredBefore(_ context.Context, then time.Time) ([]videoID, error) {
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
		if info.ModTime().Before(then) {
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
