package limits_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"flixtube/contracts/limits"
)

func TestCheckID(t *testing.T) {
	for id, valid := range map[string]struct{ required, optional bool }{
		"":                                 {false, true},
		"x":                                {true, true},
		"é\x00 {$gt}":                      {true, true},
		strings.Repeat("x", limits.ID):     {true, true},
		strings.Repeat("x", limits.ID+1):   {false, false},
		strings.Repeat("é", limits.ID/2+1): {false, false}, // bytes are counted
		"\xff":                             {false, false},
	} {
		const name, message = "video.id", "video.id must be 1 to 200 bytes of UTF-8"
		for _, test := range []struct {
			err   error
			valid bool
		}{{limits.CheckID(name, id), valid.required}, {limits.CheckOptionalID(name, id), valid.optional}} {
			var invalid limits.InvalidID
			if test.valid {
				if test.err != nil {
					t.Errorf("%.20q: %v, want no error", id, test.err)
				}
			} else if !errors.As(test.err, &invalid) || invalid.Name != name || test.err.Error() != message {
				t.Errorf("%.20q: %v, want %s", id, test.err, message)
			}
		}
	}
}

func TestTime(t *testing.T) {
	east := time.FixedZone("", 3600)
	for at, want := range map[time.Time]string{
		time.Date(2026, 1, 2, 4, 4, 5, 0, east):                         "2026-01-02T03:04:05Z",
		time.Date(0, 1, 1, 0, 0, 0, 0, east):                            "",
		time.Date(9999, 12, 31, 23, 0, 0, 0, time.FixedZone("", -3600)): "",
		time.Date(9999, 12, 31, 23, 0, 0, 0, time.UTC):                  "9999-12-31T23:00:00Z",
	} {
		got, err := limits.Time("viewedAt", at)
		if want == "" {
			if err == nil || !strings.Contains(err.Error(), "viewedAt must be") {
				t.Errorf("%v: %v, %v; want an error", at, got, err)
			}
			continue
		}
		if err != nil || got.Format(time.RFC3339) != want || got.Location() != time.UTC {
			t.Errorf("%v: %v, %v; want %s", at, got, err, want)
		}
	}
	got, err := limits.Time("viewedAt", time.Time{})
	if ago := time.Since(got); err != nil || ago < 0 || ago > time.Minute {
		t.Errorf("no time: %v, %v; want now", got, err)
	}
}
