// Package limits bounds what messages and requests may hold, the same in every service.
package limits

import (
	"fmt"
	"time"
	"unicode/utf8"
)

const (
	// ID is the maximum length of the id of a fact, a video or a viewer, in bytes. Other programs may choose these ids.
	ID = 200
	// Name is the maximum length of a video's name, and of a search for one, in characters.
	Name = 200
	// FileName is the maximum length of an uploaded file's name, in bytes.
	FileName = 1000
	// Duration is the maximum length of a video, in seconds: about four months.
	Duration = 1e7
	// IDs is the maximum number of videos that one request may name.
	IDs = 100
	// Positions is the maximum number of a viewer's positions in videos; the last saved stay.
	Positions = 1000
	// Captions is the maximum size of a file with captions, in bytes.
	Captions = 500_000
	// Language is the maximum length of the tag of a language, in bytes.
	Language = 35
	// Poster is the maximum size of a poster, in bytes.
	Poster = 1_000_000
)

// InvalidID is the error about an id that is empty, too long or not UTF-8.
type InvalidID struct {
	Name string // of the field, parameter or header
}

func (e InvalidID) Error() string {
	return fmt.Sprintf("%s must be 1 to %d bytes of UTF-8", e.Name, ID)
}

// CheckID returns an InvalidID with this name unless id is 1 to ID bytes of UTF-8.
func CheckID(name, id string) error {
	if id == "" {
		return InvalidID{name}
	}
	return CheckOptionalID(name, id)
}

// CheckOptionalID is CheckID for an id that may be missing.
func CheckOptionalID(name, id string) error {
	if len(id) > ID || !utf8.ValidString(id) {
		return InvalidID{name}
	}
	return nil
}

// Time returns the time of a fact in UTC; if the message did not have one, the current time. It fails for a year that
// JSON cannot hold.
func Time(name string, at time.Time) (time.Time, error) {
	if at.IsZero() {
		return time.Now().UTC(), nil
	}
	at = at.UTC()
	if year := at.Year(); year < 0 || year > 9999 {
		return time.Time{}, fmt.Errorf("%s must be in a year from 0 to 9999, in UTC", name)
	}
	return at, nil
}
