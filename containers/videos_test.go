//go:build containers

package containers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// launcher returns a function that runs commands of the launcher, with the lines that docs/containers.md has for it.
func (p *production) launcher() (run func(args ...string) string) {
	p.t.Helper()
	_, text, found := strings.Cut(strings.Join(read(p.t, "docs/containers.md"), "\n"), "\nCGO_ENABLED=0 ")
	build, text, _ := strings.Cut(text, "\n")
	function, _, ended := strings.Cut(text, "\n}\n")
	if !found || !ended || !strings.HasPrefix(function, "flixtube() {") {
		p.t.Fatal("docs/containers.md does not say how the launcher is built and run")
	}
	bash := func(script string, args ...string) string {
		p.t.Helper()
		cmd := exec.Command("bash", append([]string{"-ec", script, "-"}, args...)...)
		cmd.Dir, cmd.Env = p.dir, append(os.Environ(), "GOWORK=")
		output, err := cmd.CombinedOutput()
		if err != nil {
			p.t.Fatalf("flixtube %q: %v\n%s", args, err, output)
		}
		return string(output)
	}
	bash("CGO_ENABLED=0 " + build)
	function = strings.NewReplacer("flixtube-prod_", p.name+"_", "rabbitmq:4-management", shell).Replace(function)
	return func(args ...string) string {
		p.t.Helper()
		return bash(function+"\n}\n"+`flixtube "$@"`, args...)
	}
}

// entry is what metadata lists of a video.
type entry struct {
	Name, Owner, ContentType, UploadedAt string
	Size                                 int64
	Duration                             float64
	Poster                               bool
}

// catalogue returns all videos that metadata lists, by their ids.
func (p *production) catalogue() (map[string]entry, error) {
	const page = 500
	for all := map[string]entry{}; ; {
		var list struct {
			Videos []struct {
				ID string `json:"_id"`
				entry
			}
		}
		if err := p.ask("metadata", fmt.Sprintf("/videos?skip=%d&limit=%d", len(all), page), &list); err != nil {
			return nil, err
		}
		for _, video := range list.Videos {
			all[video.ID] = video.entry
		}
		if len(list.Videos) < page {
			return all, nil
		}
	}
}

// waitCatalogue waits until metadata lists the videos that check accepts.
func (p *production) waitCatalogue(what string, check func(map[string]entry) bool) (all map[string]entry) {
	p.t.Helper()
	waitFor(p.t, what, deadline, func() (err error) {
		if all, err = p.catalogue(); err == nil && !check(all) {
			err = fmt.Errorf("metadata lists %d videos", len(all))
		}
		return err
	})
	return all
}

// testVideosOfOthers lists, renames and removes videos as an operator does, and lists all of them again after the
// database is lost. Two replicas of metadata do that.
func (p *production) testVideosOfOthers() {
	started := time.Now()
	flixtube := p.launcher()
	measured(p.t, "building the launcher", time.Since(started))
	kept, removed := upload(p.t, p.site, "kept", 2<<20), upload(p.t, p.site, "removed", 2<<20)
	before := p.waitCatalogue("two videos more", func(all map[string]entry) bool {
		return all[kept].Name != "" && all[removed].Name != ""
	})
	if list := flixtube("videos", "list"); strings.Count(list, "\n") != len(before)+1 || !strings.Contains(list, kept) {
		p.t.Errorf("%d videos are listed as\n%s", len(before), list)
	}
	if shown := flixtube("videos", "show", kept); !strings.Contains(shown, before[kept].Owner) {
		p.t.Errorf("the owner %s is not in\n%s", before[kept].Owner, shown)
	}
	const title = "a title of the operator's"
	flixtube("videos", "rename", kept, title)
	flixtube("videos", "remove", removed)
	now := p.waitCatalogue("one video less", func(all map[string]entry) bool { return len(all) == len(before)-1 })
	if _, ok := now[removed]; ok || now[kept].Name != title {
		p.t.Errorf("a video was removed: %t; the other one is %+v", !ok, now[kept])
	}
	waitFor(p.t, "the end of the removed bytes", deadline, func() error {
		_, err := get(p.site+"/api/video?id="+removed, "Range", "bytes=0-0")
		if err == nil {
			return errors.New("they are still there")
		}
		if !strings.Contains(err.Error(), "404") {
			return err
		}
		return nil
	})

	p.loseDatabase()
	p.waitCatalogue("an empty database", func(all map[string]entry) bool { return len(all) == 0 })
	started = time.Now()
	p.t.Log(flixtube("videos", "rebuild"))
	delete(before, removed)
	now = p.waitCatalogue("the list of videos", func(all map[string]entry) bool { return len(all) >= len(before) })
	took := time.Since(started)
	titles := 0
	for id, want := range before {
		got := now[id]
		if got.Name == want.Name {
			titles++
		} else if id == kept || slices.Contains(p.videos, id) { // others were perhaps renamed, by the journeys
			p.t.Errorf("%s has the title %q, want %q", id, got.Name, want.Name)
		}
		if got.Name = want.Name; got != want {
			p.t.Errorf("%s became %+v", id, got)
		}
	}
	if len(now) != len(before) {
		p.t.Errorf("there are %d videos, want %d", len(now), len(before))
	}
	measured(p.t, fmt.Sprintf("videos rebuild: videos of which owner, type, size and duration are as before, and titles, after %.1f s", took.Seconds()),
		fmt.Sprintf("%d, %d", len(before), titles))
}

// loseDatabase is an empty database in the place of the one that there was, as docs/operations.md says.
func (p *production) loseDatabase() {
	p.t.Helper()
	p.compose("rm", "-sf", "metadata", "history", "recommendations", "db")
	docker(p.t, "volume", "rm", p.name+"_db", p.name+"_db-config")
	p.compose("up", "-d", "--no-build", "--scale", "metadata=2")
	for id := range strings.FieldsSeq(p.compose("ps", "-q", "metadata")) {
		waitFor(p.t, "metadata", deadline, func() error {
			output, err := exec.Command("docker", "exec", id, "/service", "-health").CombinedOutput()
			if err != nil {
				err = fmt.Errorf("%w: %s", err, output)
			}
			return err
		})
	}
}
