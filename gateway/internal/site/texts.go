package site

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"flixtube/gateway/internal/services"
)

// texts are those of one language. English texts are their own keys, so English needs none; only errors have codes for
// keys.
type texts struct {
	lang   string
	byKey  map[string]string
	errors errorTexts
	date   string // a layout of time.Format
}

// newTexts returns the languages of the pages, the default first. Scripts read the same files, as modules.
func newTexts() ([]texts, error) {
	all := []texts{{lang: "en", date: "2 January 2006"}, {lang: "ko", date: "2006년 1월 2일"}}
	if err := readModule("assets/ko.js", &all[1].byKey); err != nil {
		return nil, err
	}
	var byCode map[string]map[string]string // and by language
	if err := readModule("assets/errors.js", &byCode); err != nil {
		return nil, err
	}
	for i := range all {
		all[i].errors = errorTexts{}
		for code, text := range byCode {
			all[i].errors[code] = text[all[i].lang]
		}
	}
	return all, nil
}

// readModule reads a script that only exports JSON.
func readModule(name string, v any) error {
	content, err := files.ReadFile(name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(string(content), "export default ")), v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// t returns a text with the values in the places of its %d and %s.
func (x texts) t(text string, values ...any) string {
	if own, ok := x.byKey[text]; ok {
		text = own
	}
	if len(values) == 0 {
		return text
	}
	return fmt.Sprintf(text, values...)
}

// list names several things.
func (x texts) list(keys []string) string {
	names := make([]string, len(keys))
	for i, key := range keys {
		names[i] = x.t(key)
	}
	return strings.Join(names, ", ")
}

func (x texts) title(v services.Video) string {
	if v.Name == "" {
		return x.t("Untitled")
	}
	return v.Name
}

// views is how often a video was watched; scripts write large numbers shorter.
func (x texts) views(n int64) string { return x.count(n, "%d view", "%d views") }

func (x texts) count(n int64, one, many string) string {
	if n == 1 {
		return x.t(one, n)
	}
	return x.t(many, n)
}

// describe is what a preview of a link says besides the title.
func (x texts) describe(v services.Video) string {
	facts := []string{x.t("FlixTube, a small video site made of small services.")}
	if !v.UploadedAt.IsZero() {
		facts = append([]string{x.day(v.UploadedAt)}, facts...)
	}
	if v.Duration > 0 {
		facts = append([]string{short(v.Duration)}, facts...)
	}
	return strings.Join(facts, " · ")
}

// spoken is a duration in words, for screen readers.
func (x texts) spoken(duration float64) string {
	var words []string
	h, m, s := clock(duration)
	for _, unit := range []struct {
		n         int64
		one, many string
	}{{h, "%d hour", "%d hours"}, {m, "%d minute", "%d minutes"}, {s, "%d second", "%d seconds"}} {
		if unit.n > 0 {
			words = append(words, x.count(unit.n, unit.one, unit.many))
		}
	}
	return strings.Join(words, " ")
}

// short is a duration as on a player: m:ss or h:mm:ss.
func short(duration float64) string {
	h, m, s := clock(duration)
	if h > 0 {
		return fmt.Sprintf("%d:%02d:%02d", h, m, s)
	}
	return fmt.Sprintf("%d:%02d", m, s)
}

// clock rounds to seconds, to one at least.
func clock(duration float64) (h, m, s int64) {
	n := max(1, int64(math.Round(duration)))
	return n / 3600, n / 60 % 60, n % 60
}

func (x texts) day(t time.Time) string {
	if t.IsZero() {
		return x.t("No date")
	}
	return t.UTC().Format(x.date)
}
