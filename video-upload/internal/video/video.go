// Package video says what an uploaded file must be: its name, its duration and its type.
package video

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gabriel-vasile/mimetype"

	"flixtube/chassis/text"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
	"flixtube/contracts/limits"
)

// Video is a stored video, as the message video-uploaded and the response to an upload have it.
type Video struct {
	ID          string  `json:"id"`
	Name        string  `json:"name"`
	ContentType string  `json:"contentType"`
	Size        int64   `json:"size"`               // bytes
	Duration    float64 `json:"duration,omitempty"` // seconds, as the uploader or else the file says; 0 if unknown
	Poster      bool    `json:"poster,omitempty"`   // the storage has one
}

// ErrNotPlayable is the answer to a file that is none of playable.
var ErrNotPlayable = web.Errorf(http.StatusUnsupportedMediaType, codes.NotPlayable, "this is not a video that browsers play")

// HeadSize is how many bytes at the start of a file show its type.
const HeadSize = 3072

// playable are the accepted types. Detection knows others, such as audio in an MP4, which are rejected.
var playable = []string{"video/mp4", "video/webm", "video/ogg", "video/quicktime", "video/x-matroska"}

// Type returns the type that the first HeadSize bytes of a file show, or "" if it is not playable. The type that a client
// claims does not matter.
func Type(head []byte) string {
	found := mimetype.Detect(head)
	for _, t := range playable {
		if found.Is(t) {
			return t
		}
	}
	if found.Is("video/x-m4v") {
		return "video/mp4" // the same format under a name that fewer browsers know
	}
	return ""
}

var extension = regexp.MustCompile(`\.[A-Za-z0-9]{1,5}$`)

// Name makes a video's name from the name of its file: without folders (of either kind of slash), and without the
// extension unless nothing else is left. Its error is the answer to the client.
func Name(file string) (string, error) {
	if len(file) > limits.FileName {
		return "", web.Errorf(http.StatusBadRequest, codes.FileNameTooLong, "the file name may have at most %d bytes", limits.FileName).
			With("max", limits.FileName)
	}
	if !utf8.ValidString(file) {
		return "", web.Errorf(http.StatusBadRequest, codes.InvalidFileName, "the file name must be UTF-8")
	}
	file = text.Line(file[strings.LastIndexAny(file, `/\`)+1:])
	if strings.Trim(file, ". ") == "" {
		return "", web.Errorf(http.StatusBadRequest, codes.FileNameMissing, "the file name is missing")
	}
	name := text.Line(extension.ReplaceAllString(file, ""))
	if name == "" {
		name = file
	}
	if runes := []rune(name); len(runes) > limits.Name {
		name = text.Line(string(runes[:limits.Name]))
	}
	return name, nil
}

// Duration parses the duration that a client claims, in seconds: 0 if it claims none. Its error is the answer to the
// client.
func Duration(text string) (float64, error) {
	if text == "" {
		return 0, nil
	}
	const longest = int(limits.Duration)
	d, err := strconv.ParseFloat(text, 64)
	if err != nil || !(d > 0 && d <= float64(longest)) {
		return 0, web.Errorf(http.StatusBadRequest, codes.InvalidDuration, "the duration must be a number of seconds above 0 and up to %d", longest).
			With("max", longest)
	}
	return d, nil
}
