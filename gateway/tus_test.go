package main

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/requestid"
	"flixtube/chassis/web"
)

func TestUploadsPassThrough(t *testing.T) {
	var asked string
	var forwarded http.Header
	gateway := start(t, time.Second, fakes{"video-upload": func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked, forwarded = r.Method+" "+r.URL.String()+" "+string(body), r.Header
		for name, value := range map[string]string{
			"Tus-Resumable": "1.0.0", "Tus-Max-Size": "7", "Upload-Offset": "5", "Upload-Length": "9", "Upload-Expires": "soon",
			"Set-Cookie": "viewer=mine", "Location": "http://" + r.Host + "/uploads/new-1_A?x=y",
		} {
			w.Header().Set(name, value)
		}
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusCreated)
		}
	}})
	viewer := strings.Repeat("v", 32)
	outside := []string{
		"Cookie", cookie(viewer), "Tus-Resumable", "1.0.0", "Upload-Length", "9", "Upload-Metadata", "filename YQ==",
		"Upload-Offset", "5", "Content-Type", "application/offset+octet-stream",
		web.ViewerHeader, "victim", web.ClientHeader, "192.0.2.1", requestid.Header, "chosen", "X-HTTP-Method-Override", "DELETE", "X-Forwarded-For", "192.0.2.1",
		"X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https", "Forwarded", "host=evil.example",
		"Connection", web.ViewerHeader, "Upgrade", "x", "Origin", gateway, "Upload-Draft-Interop-Version", "6", "X-Other", "x",
	}
	passed := []string{
		"Content-Type", "Tus-Resumable", "Upload-Length", "Upload-Metadata", "Upload-Offset",
		web.ViewerHeader, web.ClientHeader, requestid.Header,
	}
	for request_, want := range map[string]string{
		"OPTIONS /api/uploads":                "OPTIONS /uploads ",
		"POST /api/uploads?id=x":              "POST /uploads ",
		"HEAD /api/uploads/new-1_A":           "HEAD /uploads/new-1_A ",
		"PATCH /api/uploads/new-1_A?a=b":      "PATCH /uploads/new-1_A body",
		"DELETE /api/uploads/new-1_A":         "DELETE /uploads/new-1_A ",
		"PUT /api/uploads/new-1_A/poster?a=b": "PUT /uploads/new-1_A/poster body",
	} {
		method, path, _ := strings.Cut(request_, " ")
		body := ""
		if method == "PATCH" || method == "PUT" {
			body = "body"
		}
		asked = ""
		res, _ := do(t, request(t, method, gateway+path, strings.NewReader(body), outside...))
		if asked != want {
			t.Errorf("%s was forwarded as %q", request_, asked)
			continue
		}
		if got := forwarded.Get(web.ViewerHeader); got != viewer {
			t.Errorf("%s: the viewer is %q", request_, got)
		}
		if got := forwarded.Get(web.ClientHeader); got != "127.0.0.1" {
			t.Errorf("%s: the client's address is %q", request_, got)
		}
		for name := range forwarded {
			if !slices.Contains(passed, name) && name != "Content-Length" && name != "Accept-Encoding" {
				t.Errorf("%s: %s is forwarded: %q", request_, name, forwarded[name])
			}
		}
		for _, name := range passed {
			if name != web.ViewerHeader && forwarded.Get(name) == "" {
				t.Errorf("%s: %s is not forwarded", request_, name)
			}
		}
		location := ""
		if method == "POST" {
			location = "/api/uploads/new-1_A"
		}
		if h := res.Header; h.Get("Location") != location || len(res.Cookies()) > 0 || h.Get("Tus-Max-Size") != "7" ||
			h.Get("Upload-Offset") != "5" || h.Get("Upload-Length") != "9" || h.Get("Upload-Expires") != "soon" ||
			h.Get("Tus-Resumable") != "1.0.0" || len(h.Values("X-Content-Type-Options")) != 1 {
			t.Errorf("%s: %s %v", request_, res.Status, h)
		}
	}
	for request_, status := range map[string]int{
		"PATCH /api/uploads/a.b":                                  404,
		"PATCH /api/uploads/..":                                   404,
		"PATCH /api/uploads/%2e%2e%2fupload":                      404,
		"PATCH /api/uploads/a%2fposter":                           404,
		"PUT /api/uploads/a%00/poster":                            404,
		"PATCH /api/uploads/" + strings.Repeat("a", 65):           404,
		"PATCH /api/uploads/":                                     404,
		"GET /api/uploads/a":                                      405,
		"POST /api/uploads/a":                                     405,
		"GET /api/uploads/a/poster":                               405,
		"DELETE /api/uploads":                                     405,
		"PUT /api/uploads/" + strings.Repeat("a", 65) + "/poster": 404,
	} {
		method, path, _ := strings.Cut(request_, " ")
		asked = ""
		req := request(t, method, gateway+path, nil)
		if res, body := do(t, req); res.StatusCode != status || asked != "" || !strings.HasPrefix(body, `{"error":`) {
			t.Errorf("%s: %s %s, asked %q", request_, res.Status, body, asked)
		}
	}
}

func TestUploadWithoutAddress(t *testing.T) {
	for _, location := range []string{"", "/uploads/a.b", "/uploads/", "::"} {
		gateway := start(t, time.Second, fakes{"video-upload": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", location)
			w.WriteHeader(http.StatusCreated)
		}})
		if res, _ := do(t, request(t, "POST", gateway+"/api/uploads", nil)); res.StatusCode != 502 || res.Header.Get("Location") != "" {
			t.Errorf("created at %q: %s %v", location, res.Status, res.Header)
		}
	}
}

// TestPatchStreams: the first bytes arrive before the last are sent, and a body that the sender does not complete arrives as an
// incomplete one.
func TestPatchStreams(t *testing.T) {
	arrived, broken := make(chan string, 1), make(chan error, 1)
	gateway := start(t, time.Second, fakes{"video-upload": func(_ http.ResponseWriter, r *http.Request) {
		first := make([]byte, 5)
		_, _ = io.ReadFull(r.Body, first)
		arrived <- string(first)
		_, err := io.ReadAll(r.Body)
		broken <- err
	}})
	body, client := io.Pipe()
	failed := make(chan error)
	go func() {
		res, err := http.DefaultTransport.RoundTrip(request(t, "PATCH", gateway+"/api/uploads/a", body))
		if err == nil {
			res.Body.Close()
		}
		failed <- err
	}()
	_, _ = io.WriteString(client, "first")
	if got := within(t, "the arrival of the first bytes", arrived); got != "first" {
		t.Errorf("first came %q", got)
	}
	client.CloseWithError(io.ErrClosedPipe)
	if err := within(t, "the end", broken); err == nil {
		t.Error("a body that broke off looks whole")
	}
	if err := within(t, "the failure", failed); err == nil {
		t.Error("sending half a body looks like a success")
	}
}
