package main

import (
	"io"
	"net/http"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
)

// TestSlowUpload: an upload whose bytes keep arriving may take longer than the 30 seconds that other bodies have.
func TestSlowUpload(t *testing.T) {
	t.Parallel() // it waits
	base := chassistest.Start(t, run, map[string]string{
		"RABBIT": chassistest.JetStream(t), "VIDEOS_DIR": t.TempDir(),
	})
	body, sender := io.Pipe()
	go func() {
		tick := time.NewTicker(3 * time.Second)
		defer tick.Stop()
		for range 11 {
			if _, err := io.WriteString(sender, "x"); err != nil {
				return
			}
			<-tick.C
		}
		sender.Close()
	}()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/upload", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("id", "slow")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if answer, err := io.ReadAll(res.Body); res.StatusCode != http.StatusCreated || err != nil {
		t.Fatalf("%d %s, %v", res.StatusCode, answer, err)
	}
	if res, got := call(t, http.MethodGet, base+"/video?id=slow", ""); res.StatusCode != http.StatusOK || got != "xxxxxxxxxxx" {
		t.Errorf("%d %q", res.StatusCode, got)
	}
}
