//go:build containers

package containers

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// testUpgrade replaces every service while videos are watched. Where there are two replicas no view fails; the gateway, of
// which there is one, is away for as long as is measured.
func (p *production) testUpgrade() {
	const next, perSecond = "v0.0.0-next", 20
	scale := []string{"video-storage", "history", "video-streaming"}
	for _, service := range services {
		docker(p.t, "tag", p.image(service), p.registry+"/"+service+":"+next)
	}
	args := []string{"up", "-d", "--no-build"}
	for _, service := range scale {
		args = append(args, "--scale", service+"=2")
	}
	p.compose(args...)

	views := startLoad(p.t, p.site, p.videos, perSecond)
	started := time.Now()
	upgrade := p.script("upgrade", next)
	output, err := upgrade.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	upgrade.Stderr = os.Stderr
	if err := upgrade.Start(); err != nil {
		p.t.Fatal(err)
	}
	var gateway *load
	for lines := bufio.NewScanner(output); lines.Scan(); {
		if !strings.HasPrefix(lines.Text(), "video-streaming ") {
			continue // what comes after it is the gateway
		}
		made, failed, worst := views.stop()
		if len(failed) > 0 {
			p.t.Errorf("%d of %d views failed: %v", len(failed), made, errors.Join(failed[:min(5, len(failed))]...))
		}
		measured(p.t, "upgrade of six services: views that did not fail, and the slowest", fmt.Sprintf("%d of %d, %.2f s", made-len(failed), made, worst.Seconds()))
		gateway = startLoad(p.t, p.site, p.videos, perSecond)
	}
	if err := upgrade.Wait(); err != nil || gateway == nil {
		p.t.Fatalf("upgrade: %v", err)
	}
	measured(p.t, "upgrade of the seven services", time.Since(started))
	during(time.Second)
	made, failed, _ := gateway.stop()
	gap := time.Duration(len(failed)) * time.Second / perSecond
	measured(p.t, fmt.Sprintf("upgrade of the gateway: of %d views %d failed, which is", made, len(failed)), gap)
	if gap > 10*time.Second {
		p.t.Error("the gateway was away for longer than its drain time")
	}
	p.tag = next
	p.runsEverywhere(next, scale)
}

// runsEverywhere checks that the containers have this tag, and that those that are scaled are two.
func (p *production) runsEverywhere(tag string, scaled []string) {
	p.t.Helper()
	running := p.compose("ps", "--format", "{{.Service}} {{.Image}}")
	for _, service := range services {
		want := 1
		if strings.Contains(strings.Join(scaled, " "), service) {
			want = 2
		}
		if n := strings.Count(running, service+" "+p.registry+"/"+service+":"+tag+"\n"); n != want {
			p.t.Errorf("%d replicas of %s run %s, want %d:\n%s", n, service, tag, want, running)
		}
	}
	if text, err := os.ReadFile(filepath.Join(p.dir, ".env")); err != nil || !strings.Contains(string(text), "\nTAG="+tag+"\n") {
		p.t.Errorf(".env has not the tag %s: %v\n%s", tag, err, text)
	}
}

// testRollback upgrades to a version whose history does not start: the services that were replaced get the old one back.
func (p *production) testRollback() {
	const broken = "v0.0.0-broken"
	for _, service := range services {
		image := p.image(service)
		if service == "history" {
			image = p.image("video-upload") // it lacks variables here
		}
		docker(p.t, "tag", image, p.registry+"/"+service+":"+broken)
	}
	views, started := startLoad(p.t, p.site, p.videos, 20), time.Now()
	upgrade := p.script("upgrade", broken)
	upgrade.Env = append(upgrade.Env, "TIMEOUT=5")
	output, err := upgrade.CombinedOutput()
	if err == nil || !strings.Contains(string(output), "upgrade: nothing is upgraded") || !strings.Contains(string(output), "OUTBOX_DIR") {
		p.t.Errorf("a version that does not start: %v\n%s", err, output)
	}
	measured(p.t, "upgrade to a version that does not start, and back", time.Since(started))
	if made, failed, _ := views.stop(); len(failed) > 0 {
		p.t.Errorf("%d of %d views failed: %v", len(failed), made, failed[0])
	}
	p.runsEverywhere(p.tag, []string{"video-storage", "history", "video-streaming"})
}

// testBackup makes a backup under views, removes everything, and restores it. Then the databases alone.
func (p *production) testBackup() {
	stop := p.watching()
	during(2 * time.Second)
	before := stop()
	folder := filepath.Join(p.t.TempDir(), "backup")
	load := startLoad(p.t, p.site, p.videos, 20)
	started := time.Now()
	output := p.runScript("backup", folder)
	took := time.Since(started)
	made, failed, worst := load.stop()
	if len(failed) > 0 {
		p.t.Errorf("%d of %d views failed during the backup: %v", len(failed), made, failed[0])
	}
	p.t.Log(output)
	measured(p.t, fmt.Sprintf("backup under %d views, of which the slowest began after %.2f s", made, worst.Seconds()), took)

	if output, err := p.script("restore", folder).CombinedOutput(); err == nil || !strings.Contains(string(output), "there is data here") {
		p.t.Errorf("restore over data: %v\n%s", err, output)
	}
	p.compose("down", "-v")
	for _, name := range []string{"secrets", ".env"} {
		if err := os.RemoveAll(filepath.Join(p.dir, name)); err != nil {
			p.t.Fatal(err)
		}
	}
	started = time.Now()
	p.runScript("restore", folder)
	waitFor(p.t, "the gateway", deadline, func() error { _, err := get(p.site + "/readyz"); return err })
	measured(p.t, "restore into an empty machine, until the site is ready", time.Since(started))
	p.plays()
	p.allRecorded(before)
	measured(p.t, "views confirmed before the backup, none missing after the restore", len(before))

	stop = p.watching()
	during(time.Second)
	after := stop()
	p.allRecorded(after)
	p.runScript("restore", folder, "db")
	waitFor(p.t, "the gateway", deadline, func() error { _, err := get(p.site + "/readyz"); return err })
	p.plays()
	p.allRecorded(before)
	since := docker(p.t, "inspect", "-f", "{{.Config.Env}}", p.id("video-storage"))
	if !strings.Contains(since, "SWEEP_SINCE=20") {
		p.t.Errorf("video-storage would sweep newer videos: %s", since)
	}
}

// plays checks that the samples can be watched.
func (p *production) plays() {
	p.t.Helper()
	for _, video := range p.videos {
		if body, err := get(p.site+"/api/video?id="+video+"&view="+newUUID(), "Range", "bytes=100-199"); err != nil || len(body) != 100 {
			p.t.Errorf("video %s does not play: %d bytes, %v", video, len(body), err)
		}
	}
}
