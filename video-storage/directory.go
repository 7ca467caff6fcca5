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
//	<id>/video        the bytes, and nothing else, so that sendfile can have them
//	<id>/about.json   the content type, and a tag that no other upload has
//	<id>/poster.jpg   the poster, if there is one
//
// An upload grows under another name and gets its own by one rename, which fails if the name is taken.
type directory struct {
	path string
	root *os.Root // no name leads out of it

	posters sync.Mutex // so that none comes into a directory that is being removed
}

type about struct {
	ContentType string `json:"contentType"`
	Tag         string `json:"tag"`
}

// unfinished begins the names of uploads and removals that are under way; no id begins with a dot.
const unfinished = ".unfinished-"

// openDirectory opens the store in path, making it if need be, and sweeps away what a process that was
// killed has left unfinished there. The caller closes it.
func openDirectory(path string) (*directory, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, fmt.Errorf("make VIDEOS_DIR: %w", err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("open VIDEOS_DIR: %w", err)
	}
	d := &directory{path: path, root: root}
	if err := d.sweep(); err != nil {
		return nil, errors.Join(fmt.Errorf("sweep VIDEOS_DIR: %w", err), root.Close())
	}
	return d, nil
}

func (d *directory) sweep() error {
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

func (d *directory) Open(_ context.Context, id string) (*video, error) {
	v, err := d.open(id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNotFound
	}
	return v, err
}

func (d *directory) open(id string) (*video, error) {
	dir, err := d.root.OpenRoot(id) // both files from one upload, even if the id gets another one meanwhile
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
		etag:           fmt.Sprintf(`"%s-%x"`, facts.Tag, info.ModTime().UnixNano()), // a changed file is seen, too
		modified:       info.ModTime(),
	}, nil
}

func (d *directory) Create(ctx context.Context, id, contentType string, body io.Reader) (err error) {
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
	if err := d.root.Rename(temp, id); errors.Is(err, fs.ErrExist) {
		return errTaken
	} else if err != nil {
		return err
	}
	return d.sync(".")
}

func (d *directory) Delete(_ context.Context, id string) error {
	temp := unfinished + rand.Text()
	d.posters.Lock()
	err := d.root.Rename(id, temp)
	d.posters.Unlock()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(d.sync("."), d.root.RemoveAll(temp))
}

func (d *directory) OpenPoster(_ context.Context, id string) (*video, error) {
	file, err := d.root.Open(id + "/poster.jpg")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoPoster
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

// newPoster tags a poster by its bytes, which are few: a clock is too coarse to tell two of them apart.
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

func (d *directory) SavePoster(_ context.Context, id string, jpeg []byte) (err error) {
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
	err = d.root.Rename(temp, id+"/poster.jpg")
	if errors.Is(err, fs.ErrNotExist) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	return d.sync(id)
}

func (d *directory) StoredBefore(_ context.Context, then time.Time) ([]string, error) {
	entries, err := fs.ReadDir(d.root.FS(), ".")
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, entry := range entries {
		if _, err := checkID(entry.Name()); err != nil {
			continue
		}
		info, err := d.root.Stat(entry.Name() + "/video")
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile, or not ours
		}
		if err != nil {
			return nil, err
		}
		if info.ModTime().Before(then) {
			ids = append(ids, entry.Name())
		}
	}
	return ids, nil
}

// write makes a file that is on disk when write returns.
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

// sync puts on disk which names a directory holds.
func (d *directory) sync(name string) error {
	dir, err := d.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
