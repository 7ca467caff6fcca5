package main

import (
	"bytes"
	"fmt"
	"image"
	_ "image/jpeg"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"flixtube/chassis/chassistest"
)

func TestEverySampleHasAPoster(t *testing.T) {
	files, err := fs.Glob(samples, "samples/*.mp4")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d samples, error %v", len(files), err)
	}
	for _, file := range files {
		poster, err := samples.Open(strings.TrimSuffix(file, ".mp4") + ".jpg")
		if err != nil {
			t.Error(err)
			continue
		}
		about, _ := poster.Stat()
		picture, format, err := image.DecodeConfig(poster)
		if err != nil || format != "jpeg" || picture.Width != 640 || about.Size() > 64<<10 {
			t.Errorf("the poster of %s is a %s, %d wide, of %d bytes; error %v", file, format, picture.Width, about.Size(), err)
		}
	}
}

func TestSeconds(t *testing.T) {
	if _, err := exec.LookPath("ffprobe"); err != nil {
		chassistest.Missing(t, "ffprobe (apt install ffmpeg)")
	}
	files, err := fs.Glob(samples, "samples/*.mp4")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		video, err := samples.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		shown, err := exec.Command("ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", file).Output()
		if err != nil {
			t.Fatal(err)
		}
		if want, err := strconv.ParseFloat(strings.TrimSpace(string(shown)), 64); err != nil || seconds(video) != want {
			t.Errorf("%s has %g seconds, ffprobe says %g; error %v", file, seconds(video), want, err)
		}
	}
}

// TestSeedingAnEmptyLibrary: each upload is begun, gets its poster and then its bytes, all from one viewer.
func TestSeedingAnEmptyLibrary(t *testing.T) {
	var asked []string
	videos := 0
	mux := http.NewServeMux()
	mux.HandleFunc("GET /videos", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"videos":[%s]}`, strings.TrimSuffix(strings.Repeat("{},", videos), ","))
	})
	mux.HandleFunc("POST /api/uploads", func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, "create "+r.Header.Get("Upload-Length")+" "+r.Header.Get("Upload-Metadata"))
		http.SetCookie(w, &http.Cookie{Name: "viewer", Value: "ann", Secure: true})
		w.Header().Set("Location", "/api/uploads/1")
		w.WriteHeader(http.StatusCreated)
	})
	note := func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		asked = append(asked, fmt.Sprint(r.Method, " ", r.URL.Path, " ", body.Len(), " ", r.Header.Get("Cookie")))
		if r.Method == http.MethodPatch {
			videos++
		}
		w.WriteHeader(http.StatusNoContent)
	}
	mux.HandleFunc("PUT /api/uploads/1/poster", note)
	mux.HandleFunc("PATCH /api/uploads/1", note)
	server := httptest.NewServer(mux)
	defer server.Close()
	s := &system{
		addresses: map[string]string{"gateway": server.URL, "metadata": server.URL},
		client:    server.Client(), say: func(string, ...any) {},
	}

	for range 2 { // the second time there are videos
		if err := s.seedSamples(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	video, _ := samples.ReadFile("samples/Colours drifting by.mp4")
	poster, _ := samples.ReadFile("samples/Colours drifting by.jpg")
	want := []string{
		fmt.Sprintf("create %d filename Q29sb3VycyBkcmlmdGluZyBieS5tcDQ=,duration MTU=", len(video)), // its name, and 15
		fmt.Sprintf("PUT /api/uploads/1/poster %d viewer=ann", len(poster)),
		fmt.Sprintf("PATCH /api/uploads/1 %d viewer=ann", len(video)),
	}
	if len(asked) != 9 || strings.Join(asked[:3], "\n") != strings.Join(want, "\n") {
		t.Errorf("it asked for %q, want at first %q", asked, want)
	}
}
