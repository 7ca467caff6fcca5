// Package workshop finds the chapters of the workshop and copies the code that each of them begins with.
//
// Its tests are the readers: they do what each chapter's README.md says (see CONTRIBUTING.md).
package workshop

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Chapter is a folder such as workshop/05-direct-messages.
type Chapter struct {
	Number int
	Dir    string
}

// Repository returns the folder of the repository that dir is in.
func Repository(dir string) (string, error) {
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "workshop", "go.mod")); err == nil {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("%s is not in the repository of FlixTube", dir)
		}
	}
}

// Chapters returns the chapters in their order.
func Chapters(repository string) ([]Chapter, error) {
	readmes, err := filepath.Glob(filepath.Join(repository, "workshop", "[0-9][0-9]-*", "README.md"))
	if err != nil {
		return nil, err
	}
	var chapters []Chapter
	for _, readme := range readmes {
		dir := filepath.Dir(readme)
		number, err := strconv.Atoi(filepath.Base(dir)[:2])
		if err != nil {
			return nil, err
		}
		chapters = append(chapters, Chapter{Number: number, Dir: dir})
	}
	return chapters, nil
}

// Start fills dir, which must be empty or missing, with the code that the chapter begins with: that of the chapter before
// it, and a video.
func Start(repository string, number int, dir string) error {
	chapters, err := Chapters(repository)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(chapters, func(c Chapter) bool { return c.Number == number })
	if i < 0 {
		return fmt.Errorf("there is no chapter %d", number)
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty: name another folder, or delete it", dir)
	}
	if i > 0 {
		files, err := Code(chapters[i-1].Dir)
		if err != nil {
			return err
		}
		for _, file := range files {
			if err := copyFile(filepath.Join(chapters[i-1].Dir, file), filepath.Join(dir, file)); err != nil {
				return err
			}
		}
	}
	return copyFile(filepath.Join(repository, "flixtube", "samples", "Deep into the Mandelbrot set.mp4"),
		filepath.Join(dir, "videos", "sample.mp4"))
}

// Code lists the files of a chapter's code, or of a reader's: neither the text and its pictures nor videos and binaries.
func Code(dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if slices.Contains([]string{"images", "videos", "tmp", "outbox", "lib", "pacts", ".terraform"}, entry.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasPrefix(entry.Name(), "README.") {
			name, err := filepath.Rel(dir, path)
			files = append(files, filepath.ToSlash(name))
			return err
		}
		return nil
	})
	return files, err
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
