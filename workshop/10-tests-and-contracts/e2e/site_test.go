// Package e2e tests the site as a viewer uses it.
package e2e

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

func TestUploadAndWatch(t *testing.T) {
	site := os.Getenv("SITE")
	if site == "" {
		t.Skip("SITE is missing, as in SITE=http://localhost:4000")
	}
	video, err := os.ReadFile("../videos/sample.mp4")
	if err != nil {
		t.Fatal(err)
	}
	name := "Test " + rand.Text()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, video, 0o600); err != nil {
		t.Fatal(err)
	}

	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox) // for root, and in containers
	ctx, stop := chromedp.NewExecAllocator(t.Context(), options...)
	defer stop()
	ctx, closeTab := chromedp.NewContext(ctx)
	defer closeTab()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	link := chromedp.Search(`//a[text()="` + name + `"]`)
	if _, err := chromedp.Run(ctx, chromedp.Steps(
		chromedp.Navigate(site),
		chromedp.SetUploadFiles(chromedp.CSS("input[type=file]"), []string{path}),
		chromedp.WaitVisible(link), // the page loads again when the upload is done
		chromedp.Click(link),
		chromedp.WaitVisible(chromedp.CSS("video")),
	)); err != nil {
		t.Fatal("upload: ", err)
	}
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](`document.querySelector("video").readyState >= 2`)); err != nil {
		t.Fatal("the video has no picture: ", err)
	}
}
