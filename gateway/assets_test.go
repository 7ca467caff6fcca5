package main

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestAssets(t *testing.T) {
	gateway := start(t, time.Second, nil)
	_, page := do(t, request(t, "GET", gateway+"/upload", nil))
	for _, name := range []string{"flixtube.css", "icon.svg", "facts.js", "upload.js"} {
		found := regexp.MustCompile(`"(/assets/[0-9a-f]{16}/` + regexp.QuoteMeta(name) + `)"`).FindStringSubmatch(page)
		if found == nil {
			t.Errorf("the page does not ask for %s", name)
			continue
		}
		address := found[1]
		res, _ := do(t, request(t, "GET", gateway+address, nil))
		if res.StatusCode != 200 || !strings.Contains(res.Header.Get("Cache-Control"), "immutable") || len(res.Cookies()) > 0 {
			t.Errorf("%s: %s %v", address, res.Status, res.Header)
		}
		old := gateway + "/assets/older/" + name
		if res, _ := do(t, request(t, "GET", old, nil)); res.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %v", old, res.Header)
		}
		if res, _ := do(t, request(t, "GET", old, nil, "If-None-Match", res.Header.Get("ETag"))); res.StatusCode != 304 {
			t.Errorf("%s, unchanged: %s", old, res.Status)
		}
	}
	for _, path := range []string{"/assets/x/none.js", "/assets/x/..%2fpages%2fhome.html", "/assets/x/"} {
		if res, _ := do(t, request(t, "GET", gateway+path, nil)); res.StatusCode != 404 {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
}
