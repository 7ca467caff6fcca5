package site

import (
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

func allTexts(t *testing.T) []texts {
	t.Helper()
	all, err := newTexts()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestEveryTextIsTranslated compares the texts in pages and scripts with each language's, in both directions.
func TestEveryTextIsTranslated(t *testing.T) {
	used := maps.Clone(textsInGo)
	for pattern, call := range map[string]*regexp.Regexp{
		"pages/*.html": regexp.MustCompile(`\{\{t "([^"]+)"`),
		"assets/*.js":  regexp.MustCompile(`\bt\("([^"]+)"`),
	} {
		paths, err := fs.Glob(files, pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %v, %v", pattern, paths, err)
		}
		for _, path := range paths {
			if strings.HasSuffix(path, ".min.js") {
				continue // not ours
			}
			content, _ := fs.ReadFile(files, path)
			for _, m := range call.FindAllSubmatch(content, -1) {
				used[string(m[1])] = true
			}
		}
	}
	verbs := regexp.MustCompile(`%[ds%]`)
	for _, x := range allTexts(t)[1:] {
		for text := range used {
			if x.byKey[text] == "" {
				t.Errorf("%s lacks %q", x.lang, text)
			}
		}
		for text, own := range x.byKey {
			if got, want := verbs.FindAllString(own, -1), verbs.FindAllString(text, -1); !slices.Equal(got, want) {
				t.Errorf("%s: %q has the values %q, want %q", x.lang, own, got, want)
			}
			if !used[text] {
				t.Errorf("%s has %q, which is not used", x.lang, text)
			}
		}
	}
}

// textsInGo are those that Go code uses.
var textsInGo = map[string]bool{
	"Untitled": true, "No date": true, "Video": true,
	"%d view": true, "“%s”: %s": true, "FlixTube, a small video site made of small services.": true, "%d views": true,
	"%d hour": true, "%d hours": true, "%d minute": true, "%d minutes": true, "%d second": true, "%d seconds": true,
	"Videos accepted: %d. Not accepted: “%s” and the files after it.": true,
	// parts of pages
	"the library": true, "recommendations": true, "where you stopped": true, "the title": true, "other videos": true,
	"your history": true, "titles": true, "unfinished uploads": true, "your videos": true, "the recovery code": true,
}

// TestEveryErrorHasATextInEachLanguage compares the catalogue with the codes of all services, in both directions.
func TestEveryErrorHasATextInEachLanguage(t *testing.T) {
	all := append(codes.All(), web.Codes()...)
	slices.Sort(all)
	english := allTexts(t)[0].errors
	for _, x := range allTexts(t) {
		if got := slices.Sorted(maps.Keys(x.errors)); !slices.Equal(got, all) {
			t.Errorf("%s has texts for\n%q, but the codes are\n%q", x.lang, got, all)
		}
		for code, text := range x.errors {
			if !strings.HasSuffix(text, ".") {
				t.Errorf("%s: %s is no sentence: %q", x.lang, code, text)
			}
			args, want := placeholder.FindAllString(text, -1), placeholder.FindAllString(english[code], -1)
			slices.Sort(args)
			slices.Sort(want)
			if !slices.Equal(args, want) {
				t.Errorf("%s: %s uses the args %q, in English %q", x.lang, code, args, want)
			}
			if rest := placeholder.ReplaceAllString(text, ""); strings.ContainsAny(rest, "{}") {
				t.Errorf("%s: %s has a broken placeholder: %q", x.lang, code, text)
			}
		}
	}
}

func TestErrorText(t *testing.T) {
	for _, c := range []struct {
		err  *web.Error
		want string // in English
	}{
		{web.Errorf(403, codes.NotOwner, "x"), "Only the owner of a video can do this."},
		{web.Errorf(400, codes.InvalidName, "x").With("max", 200), "A title must have 1 to 200 characters."},
		{web.Errorf(400, codes.InvalidName, "x").With("max", 200.0), "A title must have 1 to 200 characters."}, // from JSON
		{web.Errorf(400, codes.InvalidName, "x").With("max", "{max}"), "A title must have 1 to {max} characters."},
		{web.Errorf(400, codes.InvalidName, "x"), "The request is not valid."},
		{web.Errorf(413, codes.VideoTooLarge, "x").With("max", int64(2_000_000_000)), "The video is too large. At most 2 GB are allowed."},
		{web.Errorf(413, codes.VideoTooLarge, "x").With("max", 1<<20), "The video is too large. At most 1 MB are allowed."},
		{web.Errorf(413, codes.VideoTooLarge, "x").With("max", 1_550_000), "The video is too large. At most 1.6 MB are allowed."},
		{web.Errorf(413, codes.VideoTooLarge, "x").With("max", 64<<10), "The video is too large. At most 66 kB are allowed."},
		{web.Errorf(413, codes.VideoTooLarge, "x").With("max", 5e15), "The video is too large. At most 5000000 GB are allowed."},
		{web.Errorf(400, "newer_code", "x"), "The request is not valid."},
		{web.Errorf(503, "newer_code", "x"), "Something went wrong on our side."},
		{web.Errorf(500, "", "x"), "Something went wrong on our side."},
	} {
		if got := allTexts(t)[0].errors.of(c.err); got != c.want {
			t.Errorf("%+v gives %q, want %q", c.err, got, c.want)
		}
	}
	if got := allTexts(t)[1].errors.of(web.Errorf(413, codes.VideoTooLarge, "x").With("max", 2e9)); got != "동영상이 너무 큽니다. 최대 2 GB까지 올릴 수 있습니다." {
		t.Errorf("in Korean: %q", got)
	}
}
