//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
)

// TestJourneys plays what visitors do, and what can happen to them, on the whole: with the servers of the
// launcher, and again, shorter, with RabbitMQ and Azurite. When FLIXTUBE_URL names a FlixTube that runs
// already, it plays there what can be played from outside, and starts nothing.
//
// SCREENSHOTS names a folder for pictures of the pages.
func TestJourneys(t *testing.T) {
	big := bigVideo(t)
	if url := os.Getenv("FLIXTUBE_URL"); url != "" {
		play(t, &site{url: strings.TrimSuffix(url, "/"), big: big}, fromOutside)
		return
	}
	bin := t.TempDir() // the services are built once

	t.Run("with the servers of the launcher", func(t *testing.T) {
		s := launch(t, bin, nil)
		s.videos, s.big = filepath.Join(s.inside.data, "videos"), big
		play(t, s, slices.Concat([]journey{
			{"before the first start of some", beforeFirstStart},
			{"the samples", theSamples},
		}, fromOutside, []journey{
			{"while some are away", whileAway},
			{"with parts missing", partsMissing},
			{"the three deliveries of viewed", threeDeliveries},
			{"a gigabyte", gigabyte},
			{"killed one after the other", killed},
			{"stopped and started again", startedAgain},
		}))
	})

	t.Run("with RabbitMQ and Azurite", func(t *testing.T) {
		rabbit := chassistest.RabbitMQ(t)
		s := launch(t, bin, map[string]string{
			"RABBIT":           rabbit.URL,
			"STORAGE_ENDPOINT": chassistest.Azurite(t), "STORAGE_ACCOUNT_NAME": chassistest.AzuriteAccount,
			"STORAGE_ACCESS_KEY": chassistest.AzuriteKey,
		})
		s.big = big
		play(t, s, []journey{
			{"before the first start of some", beforeFirstStart},
			{"in a browser", inABrowser},
			{"ranges", ranges},
			{"uploads that break off", brokenUploads},
			{"the three deliveries of viewed", threeDeliveries},
			{"without the broker for a while", func(t *testing.T, s *site) { withoutBroker(t, s, rabbit) }},
		})
	})
}

// journey may change the site: stop it and start it elsewhere.
type journey struct {
	name string
	play func(*testing.T, *site)
}

var fromOutside = []journey{
	{"in a browser", inABrowser},
	{"an upload is cut", uploadCut},
	{"an upload is cancelled", uploadCancelled},
	{"left and resumed", leaveAndResume},
	{"searching", searching},
	{"the owner", theOwner},
	{"the history", itsHistory},
	{"the language", itsLanguage},
	{"without scripts", noScripts},
	{"by keyboard", byKeyboard},
	{"hostile titles", hostileTitles},
	{"every page", everyPage},
	{"light", isLight},
	{"ranges", ranges},
	{"hostile requests", hostileRequests},
	{"uploads that break off", brokenUploads},
	{"a viewer is who the cookie says", onlyTheCookie},
}

func play(t *testing.T, s *site, journeys []journey) {
	t.Helper()
	s.browser = sync.OnceValues(func() (context.Context, error) { return startBrowser(t) })
	for _, j := range journeys {
		t.Run(j.name, func(t *testing.T) { j.play(t, s) })
		if s.inside != nil && len(s.inside.absent) > 0 {
			t.Fatal("not all services are started")
		}
	}
}

// lateComers are not started at first: the first journey does that.
var lateComers = []string{"metadata", "history", "recommendations"}

// launch starts everything but the late-comers. The services are built into bin, once for all.
func launch(t *testing.T, bin string, vars map[string]string) *site {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(bin, filepath.Join(data, "bin")); err != nil {
		t.Fatal(err)
	}
	s := &site{}
	s.launch(t, options{
		data: data, getenv: chassistest.Env(vars), absent: slices.Clone(lateComers), out: t.Output(),
	})
	t.Cleanup(func() { s.inside.stop() })
	return s
}

func (s *site) launch(t *testing.T, o options) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	whole, err := start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	s.inside, s.url = whole, whole.url
}

// bigVideo returns what makes, once, a video that is large enough to be fetched in parts.
func bigVideo(t *testing.T) func() (file string, err error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "big.mp4")
	return sync.OnceValues(func() (string, error) {
		output, err := exec.Command("../scripts/make-samples", "-big", file).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("make-samples: %w\n%s", err, output)
		}
		return file, nil
	})
}
