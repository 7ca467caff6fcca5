package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestLanguage(t *testing.T) {
	gateway := start(t, soon, fakes{
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
	if _, body := do(t, request(t, "GET", gateway+"/?q="+strings.Repeat("a", 101), nil, "Cookie", "lang=ko")); !strings.Contains(body, "검색어는 100자까지 쓸 수 있습니다.") {
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
