package samples

import (
	"bytes"
	"fmt"
	"image"
	_ "image/jpeg"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"flixtube/chassis/chassistest"
)

func TestEverySampleHasAPoster(t *testing.T) {
	if len(Titles()) != 8 {
		t.Fatalf("there are %d samples", len(Titles()))
	}
	for _, title := range Titles() {
		video, poster, err := Read(title)
		if err != nil {
			t.Error(err)
			continue
		}
		if len(video) > 1_000_000 {
			t.Errorf("%s has %d bytes", title, len(video))
		}
		picture, format, err := image.DecodeConfig(bytes.NewReader(poster))
		if err != nil || format != "jpeg" || picture.Width != 640 || len(poster) > 80<<10 {
			t.Errorf("the poster of %s is a %s, %d wide, of %d bytes; error %v", title, format, picture.Width, len(poster), err)
		}
	}
}

func TestSeconds(t *testing.T) {
	ffprobe := chassistest.Program(t, "ffprobe")
	for _, title := range Titles() {
		video, _, err := Read(title)
		if err != nil {
			t.Fatal(err)
		}
		shown, err := exec.Command(ffprobe, "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", title+".mp4").Output()
		if err != nil {
			t.Fatal(err)
		}
		if want, err := strconv.ParseFloat(strings.TrimSpace(string(shown)), 64); err != nil || seconds(video) != want {
			t.Errorf("%s has %g seconds, ffprobe says %g; error %v", title, seconds(video), want, err)
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
	l := Library{Gateway: server.URL, Metadata: server.URL, Say: t.Logf}

	for range 2 { // the second time there are videos
		if err := l.Seed(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	video, poster, err := Read("Carpet with holes")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		fmt.Sprintf("create %d filename Q2FycGV0IHdpdGggaG9sZXMubXA0,duration MTU=", len(video)), // its name, and 15
		fmt.Sprintf("PUT /api/uploads/1/poster %d viewer=ann", len(poster)),
		fmt.Sprintf("PATCH /api/uploads/1 %d viewer=ann", len(video)),
	}
	if len(asked) != 3*len(Titles()) || strings.Join(asked[:3], "\n") != strings.Join(want, "\n") {
		t.Errorf("it asked for %q, want at first %q", asked, want)
	}
}
