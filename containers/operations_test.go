//go:build containers

package containers

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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
	p.away("upgrade of the gateway", gateway, perSecond, 10*time.Second)
	p.tag = next
	p.runsEverywhere(next, scale)
	p.replaceWhilePlaying()
}

// away measures for how long the gateway was away, by the views that failed.
func (p *production) away(what string, views *load, perSecond int, limit time.Duration) {
	p.t.Helper()
	made, failed, _ := views.stop()
	gap := time.Duration(len(failed)) * time.Second / time.Duration(perSecond)
	measured(p.t, fmt.Sprintf("%s: of %d views %d failed, which is", what, made, len(failed)), gap)
	if gap > limit {
		p.t.Errorf("%s: it was away for longer than %v", what, limit)
	}
}

// downgrade starts the gateway with an older tag, so that an upgrade to p.tag replaces it alone.
func (p *production) downgrade(args ...string) {
	p.t.Helper()
	const older = "v0.0.0-older"
	docker(p.t, "tag", p.image("gateway"), p.registry+"/gateway:"+older)
	with := *p.project
	with.env = append(slices.Clone(p.env), "TAG="+older)
	with.compose(append([]string{"up", "-d", "--no-build", "--no-deps"}, args...)...)
}

// replaceWhilePlaying upgrades the only gateway while a video is played through it, for which it waits: it is away for longer.
func (p *production) replaceWhilePlaying() {
	const perSecond = 20
	p.downgrade("gateway")
	waitFor(p.t, "the gateway", deadline, func() error { _, err := get(p.site + "/readyz"); return err })
	long := p.site + "/api/video?id=" + uploadLong(p.t, p.site)
	played := make(chan error, 1)
	go func() {
		_, err := playFrom(p.t.Context(), long, 0, io.Discard)
		played <- err
	}()
	views := startLoad(p.t, p.site, p.videos, perSecond)
	p.runScript("upgrade", p.tag)
	during(time.Second)
	p.away("upgrade of the gateway while it plays a video", views, perSecond, 15*time.Second) // eight of which drain
	if err := <-played; err == nil {
		p.t.Error("the gateway did not end the video that it played: it was not open during the upgrade, or is longer than the time to drain")
	}
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
	const last = "just-before-the-backup"
	stop := p.watching()
	during(2 * time.Second)
	views, counts := stop(), p.waitCounted()
	before := p.recorded()
	p.compose("stop", "history")
	stop = p.watching()
	during(2 * time.Second)
	waiting := stop()
	waitFor(p.t, "views in the queue of history", deadline, func() error { return p.queued("history.viewed", len(waiting)) })
	views = append(append(views, waiting...), before...) // of which only those before are in the database

	folder := filepath.Join(p.t.TempDir(), "backup")
	uploaded := upload(p.t, p.site, last, 2<<20)
	load := startLoad(p.t, p.site, p.videos, 20)
	started := time.Now()
	output := p.runScript("backup", folder)
	took := time.Since(started)
	made, failed, worst := load.stop()
	if len(failed) > 0 {
		p.t.Errorf("%d of %d views failed during the backup: %v", len(failed), made, failed[0])
	}
	p.t.Log(output)
	var videos []string
	waitFor(p.t, "the last upload on the home page", deadline, func() (err error) {
		if videos, err = listed(p.site); err == nil && !slices.Contains(videos, uploaded) {
			err = fmt.Errorf("it lists %v", videos)
		}
		return err
	})
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
	waitFor(p.t, "the home page as it was", deadline, func() error {
		page, err := get(p.site + "/")
		if err == nil && !strings.Contains(page, last) {
			err = fmt.Errorf("it has no video %s", last)
		}
		return errors.Join(err, p.lists(videos))
	})
	p.allRecorded(views)
	p.counts(counts)
	measured(p.t, "views confirmed before the backup, those of them in a queue, and none missing after the restore",
		fmt.Sprintf("%d, %d", len(slices.Compact(slices.Sorted(slices.Values(views)))), len(waiting)))
	measured(p.t, "videos on the home page before the backup, and after the restore", len(videos))

	stop = p.watching()
	during(time.Second)
	after := stop()
	p.allRecorded(after)
	newer := upload(p.t, p.site, "after-the-backup", 2<<20)
	waitFor(p.t, "the upload after the backup on the home page", deadline, func() error { return p.lists([]string{newer}) })
	p.runScript("restore", folder, "db")
	waitFor(p.t, "the gateway", deadline, func() error { _, err := get(p.site + "/readyz"); return err })
	p.plays()
	// What the databases had not heard of when they were saved, has been handled since, and is lost.
	videos = slices.DeleteFunc(videos, func(id string) bool { return id == uploaded })
	waitFor(p.t, "the home page as it was", deadline, func() error { return p.lists(videos) })
	p.allRecorded(before)
	p.counts(counts)
	since := docker(p.t, "inspect", "-f", "{{.Config.Env}}", p.id("video-storage"))
	if !strings.Contains(since, "SWEEP_SINCE=20") {
		p.t.Errorf("video-storage would sweep newer videos: %s", since)
	}
	if p.lists([]string{newer}) == nil {
		p.t.Error("the older copy of the database knows the newer video")
	}
	if _, err := get(p.site+"/api/video?id="+newer, "Range", "bytes=0-0"); err != nil {
		p.t.Errorf("the bytes of the newer video: %v", err)
	}
	flixtube := p.launcher()
	started = time.Now()
	p.t.Log(flixtube("videos", "rebuild"))
	waitFor(p.t, "the newer video on the home page", deadline, func() error { return p.lists([]string{newer}) })
	measured(p.t, "a video that an older copy of the database does not know: its bytes stayed, and it is listed again after", time.Since(started))
}

// queued returns an error unless at least n messages wait in a queue.
func (p *production) queued(queue string, n int) error {
	queues, err := p.try("exec", "-T", "rabbit", "rabbitmqctl", "-q", "list_queues", "name", "messages")
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut("\n"+queues, "\n"+queue+"\t")
	number, _, _ := strings.Cut(rest, "\n")
	if found, err := strconv.Atoi(strings.TrimSpace(number)); err != nil || found < n {
		return fmt.Errorf("%d do not wait in %s:\n%s", n, queue, queues)
	}
	return nil
}

// lists returns an error unless each of the videos is on the home page.
func (p *production) lists(videos []string) error {
	now, err := listed(p.site)
	if err != nil {
		return err
	}
	for _, id := range videos {
		if !slices.Contains(now, id) {
			return fmt.Errorf("%s is not among %v", id, now)
		}
	}
	return nil
}

// counted returns how often each of the samples was watched, as recommendations knows it.
func (p *production) counted() (map[string]int64, error) {
	var answer struct{ Views map[string]int64 }
	err := p.ask("recommendations", "/views?"+url.Values{"id": p.videos}.Encode(), &answer)
	return answer.Views, err
}

// waitCounted waits until each of the samples was watched.
func (p *production) waitCounted() (counts map[string]int64) {
	p.t.Helper()
	waitFor(p.t, "views that recommendations counts", deadline, func() (err error) {
		counts, err = p.counted()
		for _, id := range p.videos {
			if err == nil && counts[id] == 0 {
				err = fmt.Errorf("counted are %v", counts)
			}
		}
		return err
	})
	return counts
}

// counts checks that no view is missing of those that recommendations had counted.
func (p *production) counts(before map[string]int64) {
	p.t.Helper()
	now, err := p.counted()
	if err != nil {
		p.t.Error(err)
	}
	for id, n := range before {
		if now[id] < n {
			p.t.Errorf("of %d views of %s recommendations counts %d", n, id, now[id])
		}
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
