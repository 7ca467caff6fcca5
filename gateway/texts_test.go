package main

import (
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestEveryTextIsTranslated holds the texts of pages and scripts against the languages, both ways.
func TestEveryTextIsTranslated(t *testing.T) {
	used := map[string]bool{}
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
	for _, x := range newTexts()[1:] {
		for text := range used {
			if x.byKey[text] == "" {
				t.Errorf("%s lacks %q", x.lang, text)
			}
		}
		for text, own := range x.byKey {
			if got, want := verbs.FindAllString(own, -1), verbs.FindAllString(text, -1); strings.Join(got, "") != strings.Join(want, "") {
				t.Errorf("%s: %q has the values %q, want %q", x.lang, own, got, want)
			}
			if first := text[0]; first >= 'A' && first <= 'Z' && !used[text] && !codeTexts[text] {
				t.Errorf("%s has %q, which nobody says", x.lang, text)
			}
		}
	}
}

// codeTexts are said by Go code; parts' names and errors, which begin with small letters, are too.
var codeTexts = map[string]bool{
	"Untitled": true, "Without a date": true, "There is no such page.": true, "Something went wrong on our side.": true,
	"There is no such video. It may have been removed by its owner.": true,
	"File-Name must be percent-encoded UTF-%d":                       true,
	"Videos taken in: %d. Not taken in: “%s” and what follows it.":   true,
	"Bad Request": true, "Not Found": true, "Method Not Allowed": true,
}

// TestEveryRefusalIsTranslated looks for what the services behind say to viewers, in their sources.
func TestEveryRefusalIsTranslated(t *testing.T) {
	refusal := regexp.MustCompile("(?s)\\bErrorf\\(\\s*http\\.Status\\w+,\\s*\"([^\"]+)\"")
	verb := regexp.MustCompile(`%[ds]`)
	for _, service := range []string{"gateway", "metadata", "history", "video-upload", "chassis"} {
		paths, err := filepath.Glob("../" + service + "/*.go")
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %v, %v", service, paths, err)
		}
		for _, path := range paths {
			source, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range refusal.FindAllSubmatch(source, -1) {
				said := verb.ReplaceAllString(string(m[1]), "7")
				if said == "7" || strings.HasSuffix(path, "_test.go") || toPrograms[string(m[1])] {
					continue
				}
				for _, x := range newTexts()[1:] {
					if x.byKey[number.ReplaceAllString(said, "%d")] == "" {
						t.Errorf("%s lacks %q, which %s says", x.lang, number.ReplaceAllString(said, "%d"), path)
					}
				}
			}
		}
	}
}

// toPrograms are refusals that no viewer can come to see: the pages do not ask so.
var toPrograms = map[string]bool{
	"sort must be newest, or nothing": true, "search must be at most %d characters of UTF-8": true,
	"at most %d videos can be asked for at once": true, "the request names no viewer": true, "that is not a viewed message": true,
	"the view is not stored, send it again": true,
	"%s is not a viewer's id":               true, "%s must be a whole number of 0 or more": true, "position must be within the duration, both in seconds": true,
	"there is no position in this video": true, "%s must be an id": true, "internal error": true, "%s is missing": true,
	"uploads cannot be put together": true,
	// The upload page goes on without a picture that is refused.
	"too many posters come at a time": true, "no space is left for the poster": true, "a poster is a JPEG": true,
	"the picture cannot be read": true, "a poster may have up to %d pixels, and %d on a side": true,
}

func TestLanguage(t *testing.T) {
	gateway := start(t, soon, services{
		"metadata": library([]string{"1"}, map[string]object{"1": {"_id": "1", "uploadedAt": "2026-05-06T07:08:09Z"}}),
	})
	for name, c := range map[string]struct {
		header []string
		lang   string
	}{
		"nothing":          {nil, "en"},
		"Korean":           {[]string{"Accept-Language", "ko-KR,ko;q=0.9,en;q=0.8"}, "ko"},
		"French":           {[]string{"Accept-Language", "fr"}, "en"},
		"French or Korean": {[]string{"Accept-Language", "fr, ko;q=0.5"}, "ko"},
		"English first":    {[]string{"Accept-Language", "en-GB, ko;q=0.5"}, "en"},
		"nonsense":         {[]string{"Accept-Language", "\\x01;;q=,-"}, "en"},
		"much":             {[]string{"Accept-Language", strings.Repeat("ko,", 1000)}, "en"},
		"chosen":           {[]string{"Accept-Language", "en", "Cookie", "lang=ko"}, "ko"},
		"chosen badly":     {[]string{"Accept-Language", "ko", "Cookie", "lang=<script>"}, "ko"},
	} {
		for _, path := range []string{"/", "/video?id=1", "/history", "/history/clear", "/upload", "/none"} {
			res, body := do(t, request(t, "GET", gateway+path, nil, c.header...))
			korean := strings.Contains(body, "시청 기록") && strings.Contains(body, "본문으로 건너뛰기")
			if !strings.Contains(body, `<html lang="`+c.lang+`">`) || res.Header.Get("Content-Language") != c.lang || korean != (c.lang == "ko") {
				t.Errorf("%s: %s is in another language than %s", name, path, c.lang)
			}
		}
	}
	_, home := do(t, request(t, "GET", gateway+"/", nil, "Cookie", "lang=ko"))
	for _, want := range []string{"제목 없음", "2026년 5월 6일</time>", "지금은 볼 수 없음: 추천, 멈춘 위치. 잠시", `aria-pressed="true">한국어`} {
		if !strings.Contains(home, want) {
			t.Errorf("the home page lacks %q:\n%s", want, home)
		}
	}
	if _, body := do(t, request(t, "GET", gateway+"/?q="+strings.Repeat("a", maxSearch+1), nil, "Cookie", "lang=ko")); !strings.Contains(body, "검색어는 100자까지 쓸 수 있습니다.") {
		t.Errorf("an error with a number is not translated:\n%s", body)
	}
}

func TestChooseLanguage(t *testing.T) {
	gateway := start(t, time.Second, nil)
	for back, want := range map[string]string{
		"/video?id=a%20b": "/video?id=a%20b", "": "/", "//evil.example": "/", `/\evil.example`: "/", "https://evil.example": "/",
		"/\t/evil.example": "/", "/a\r\nSet-Cookie: x=y": "/",
	} {
		form := url.Values{"lang": {"ko"}, "back": {back}}
		res, _ := do(t, request(t, "POST", gateway+"/language", strings.NewReader(form.Encode()), "Content-Type", "application/x-www-form-urlencoded"))
		if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != want || len(res.Cookies()) != 1 || res.Cookies()[0].Value != "ko" {
			t.Errorf("back to %q: %s to %q, %v", back, res.Status, res.Header.Get("Location"), res.Cookies())
		}
	}
	res, _ := do(t, request(t, "POST", gateway+"/language", strings.NewReader("lang=xx"), "Content-Type", "application/x-www-form-urlencoded"))
	if res.StatusCode != 400 || len(res.Cookies()) > 0 {
		t.Errorf("a language that there is not: %s", res.Status)
	}
}
