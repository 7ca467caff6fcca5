package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

func TestVideos(t *testing.T) {
	var asked []string
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			body, _ := io.ReadAll(r.Body)
			asked = append(asked, fmt.Sprintf("%s %s by %s: %s", r.Method, r.URL, r.Header.Get("X-Viewer-Id"), body))
			if r.URL.Query().Get("id") == "busy" {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			w.WriteHeader(http.StatusNoContent)
			return
		}
		switch id := r.URL.Query().Get("id"); {
		case r.URL.Path == "/videos":
			n, _ := strconv.Atoi(r.URL.Query().Get("skip"))
			var page []map[string]any
			for i := n; i < min(n+100, 101); i++ {
				page = append(page, map[string]any{"_id": fmt.Sprint("v", i), "name": "Title\x1b[31m\u202e", "uploadedAt": "2026-03-01T09:00:00Z"})
			}
			if n > 0 {
				page = append(page, map[string]any{"_id": "strange", "name": 7})
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"videos": page})
		case id == "none":
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error":"there is no such video","code":"video_not_found"}`)
		case id == "nobody's":
			fmt.Fprint(w, `{"video":{"_id":"nobody's"}}`)
		default:
			fmt.Fprintf(w, `{"video":{"_id":%q,"name":"One","owner":"ann"}}`, id)
		}
	}))
	defer metadata.Close()
	videos := func(args ...string) (string, error) {
		var out bytes.Buffer
		err := runVideos(t.Context(), call{args: args, stdout: &out, getenv: func(name string) string {
			return map[string]string{"METADATA_URL": metadata.URL}[name]
		}})
		return out.String(), err
	}

	list, err := videos("list")
	if lines := strings.Split(strings.TrimSpace(list), "\n"); err != nil || len(lines) != 1+102 || strings.Join(strings.Fields(lines[1]), " ") != "v0 2026-03-01T09:00:00Z Title[31m" ||
		strings.TrimSpace(lines[102]) != "strange" {
		t.Errorf("list: %v\n%s", err, list)
	}
	for args, want := range map[string]string{
		"show a&b":           "\"owner\": \"ann\"",
		"remove a&b":         "removed a&b: One\n",
		"rename a&b Another": "renamed a&b: One\n",
	} {
		if got, err := videos(strings.Fields(args)...); err != nil || !strings.Contains(got, want) {
			t.Errorf("%s: %q, %v", args, got, err)
		}
	}
	for _, want := range []string{"DELETE /video?id=a%26b by ann: null", `PATCH /video?id=a%26b by ann: {"name":"Another"}`} {
		if !strings.Contains(strings.Join(asked, "\n"), want) {
			t.Errorf("asked %q, want %s", asked, want)
		}
	}
	for args, want := range map[string]string{
		"": "usage", "list all": "usage", "remove": "usage", "rename a": "usage",
		"remove none": "video_not_found", "remove nobody's": "has no owner", "remove busy": "503",
	} {
		if got, err := videos(strings.Fields(args)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, %v", args, got, err)
		}
	}
}
