//go:build containers

package containers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// production is docker-compose-prod.yml, running.
type production struct {
	*project
	site     string
	registry string // of the images' names
	tag      string
	secrets  []string
	videos   []string
}

// maxImage is what an image may have, in bytes.
const maxImage = 20_000_000

func TestProduction(t *testing.T) {
	port := strconv.Itoa(freePorts(t) * 10)
	p := &production{
		project: newProject(t, "production", "docker-compose-prod.yml"),
		site:    "http://127.0.0.1:" + port, tag: "v0.0.0-test",
		secrets: []string{newUUID(), newUUID(), "dGhpcyBpcyBhIHRlc3Qga2V5IG9mIGZvcnR5IGJ5dGVzIG9yIHNvLi4u", newUUID()},
	}
	p.registry = p.name // so that newProject removes them
	p.refusals(port)
	p.settings(port, p.secrets)
	p.compose("config", "-q")
	images(t, p.project)

	started := time.Now()
	p.compose("build")
	measured(t, "production: the seven images, compiling what is not cached", time.Since(started))
	started = time.Now()
	p.compose("up", "-d")
	waitFor(t, "the gateway", deadline, func() error { _, err := get(p.site + "/readyz"); return err })
	p.videos = waitListed(t, p.site, uploadSamples(t, p.site))
	measured(t, "production: from up to the samples uploaded and listed", time.Since(started))

	for _, step := range []struct {
		name string
		run  func(*production)
	}{
		{"images", (*production).testImages},
		{"containment", (*production).testContainment},
		{"networks", (*production).testNetworks},
		{"journeys", func(p *production) { journeys(p.t, p.site) }},
		{"RabbitMQ killed", (*production).testBrokerKilled},
		{"scaled", (*production).testScaled},
		{"down and up", (*production).testDownAndUp},
	} {
		ok := t.Run(step.name, func(t *testing.T) {
			inner, base := *p, *p.project
			inner.project, base.t = &base, t
			step.run(&inner)
		})
		if !ok {
			break
		}
	}
}

func (p *production) image(service string) string { return p.registry + "/" + service + ":" + p.tag }

// settings makes .env of .env.example, as its reader would.
func (p *production) settings(port string, secrets []string) {
	p.t.Helper()
	example, err := os.ReadFile(filepath.Join(p.dir, ".env.example"))
	if err != nil {
		p.t.Fatal(err)
	}
	text := string(example)
	for i, name := range []string{"RABBITMQ_PASSWORD", "MONGO_PASSWORD", "STORAGE_ACCESS_KEY", "VIEWER_KEY"} {
		if !strings.Contains(text, "\n"+name+"=\n") {
			p.t.Fatalf(".env.example has no empty %s", name)
		}
		text = strings.Replace(text, "\n"+name+"=\n", "\n"+name+"="+secrets[i]+"\n", 1)
	}
	text += fmt.Sprintf("GATEWAY_PORT=%s\nREGISTRY=%s\nTAG=%s\nREVISION=0123abcd\n", port, p.registry, p.tag)
	if err := os.WriteFile(filepath.Join(p.dir, ".env"), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// refusals starts with passwords that are missing, and then with those that others know.
func (p *production) refusals(port string) {
	p.t.Helper()
	p.settings(port, make([]string, 4))
	if output, err := p.try("up", "-d"); err == nil || !strings.Contains(output, "choose one in .env") {
		p.t.Fatalf("without passwords: %v\n%s", err, output)
	}
	p.settings(port, []string{
		"passwordpassword", "example@123456789012",
		"Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
		"for-development-alone-everybody-knows-it",
	})
	output, err := p.try("up", "--no-build", "--no-color", "passwords")
	for _, name := range []string{"RABBITMQ_PASSWORD", "MONGO_PASSWORD", "STORAGE_ACCESS_KEY", "VIEWER_KEY"} {
		if !strings.Contains(output, name+" in .env is refused") {
			p.t.Errorf("%s is not refused: %v\n%s", name, err, output)
		}
	}
	if output, err := p.try("up", "-d", "--no-build", "rabbit"); err == nil || !strings.Contains(output, `"passwords" didn't complete`) {
		p.t.Fatalf("RabbitMQ starts with a default password: %v\n%s", err, output)
	}
	p.compose("down", "-v")
}

func (p *production) testImages() {
	for _, service := range services {
		name := p.image(service)
		inspected := docker(p.t, "image", "inspect", name)
		var images []struct {
			Size   int64
			Config struct {
				User       string
				Entrypoint []string
				Labels     map[string]string
			}
		}
		if err := json.Unmarshal([]byte(inspected), &images); err != nil {
			p.t.Fatal(err)
		}
		image := images[0]
		measured(p.t, "size of the image of "+service, fmt.Sprintf("%.1f MB", float64(image.Size)/1e6))
		if image.Size > maxImage {
			p.t.Errorf("%s is larger than %d bytes", name, maxImage)
		}
		if image.Config.User != "65532:65532" {
			p.t.Errorf("%s runs as %q", name, image.Config.User)
		}
		label := func(s string) string { return image.Config.Labels["org.opencontainers.image."+s] }
		if label("title") != "flixtube "+service || label("version") != p.tag || label("revision") != "0123abcd" {
			p.t.Errorf("%s has the labels %v", name, image.Config.Labels)
		}
		history := docker(p.t, "history", "--no-trunc", name)
		for _, secret := range p.secrets {
			if strings.Contains(inspected, secret) || strings.Contains(history, secret) {
				p.t.Errorf("%s shows a secret", name)
			}
		}
		if version := docker(p.t, "run", "--rm", name, "-version"); version != service+" "+p.tag {
			p.t.Errorf("%s -version says %q", name, version)
		}
	}
	if body, err := get(p.site + "/livez"); err != nil || !strings.Contains(body, p.tag) {
		p.t.Errorf("/livez shows %q, %v", body, err)
	}
}

func (p *production) testContainment() {
	p.testVolumes()
	all := append(slices.Clone(services), "rabbit", "db", "azurite")
	for _, service := range all {
		c := p.inspect(service)
		host := c.HostConfig
		if !host.ReadonlyRootfs || !slices.Equal(host.CapDrop, []string{"ALL"}) || host.Memory == 0 ||
			host.PidsLimit == nil || *host.PidsLimit <= 0 || host.RestartPolicy.Name != "unless-stopped" ||
			!slices.Contains(host.SecurityOpt, "no-new-privileges:true") {
			p.t.Errorf("%s is not contained: %+v", service, host)
		}
		// What the kernel says counts.
		id := p.id(service)
		status := docker(p.t, "run", "--rm", "--pid=container:"+id, "--entrypoint", "cat", shell, "/proc/1/status")
		for _, want := range []string{"CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1"} {
			if !strings.Contains(status, want) {
				p.t.Errorf("%s is without %q:\n%s", service, want, status)
			}
		}
		if slices.Contains(services, service) && !strings.Contains(status, "Uid:\t65532\t65532\t65532\t65532") {
			p.t.Errorf("%s runs as somebody else:\n%s", service, status)
		}
		waitFor(p.t, "the health of "+service, deadline, func() error {
			if c := p.inspect(service); c.State.Health == nil || c.State.Health.Status != "healthy" {
				return fmt.Errorf("%+v", c.State.Health)
			}
			return nil
		})
	}
	if published := p.published(); len(published) != 1 || published["gateway 80/tcp"] != "127.0.0.1" {
		p.t.Errorf("published are %v", published)
	}
	writing := p.command("cp", "docker-compose-prod.yml", "gateway:/")
	if output, err := writing.CombinedOutput(); err == nil || !strings.Contains(string(output), "read-only") {
		p.t.Errorf("the gateway's root can be written: %v\n%s", err, output)
	}
}

// reaches tells which of the addresses can be connected to from where a service is.
func (p *production) reaches(service string, addresses []string) (reached []string) {
	p.t.Helper()
	script := `for a in "$@"; do timeout 3 bash -c "</dev/tcp/${a/:/\/}" 2>/dev/null && echo $a; done; true`
	args := []string{"run", "--rm", "--network=container:" + p.id(service), "--entrypoint", "bash", shell, "-c", script, "-"}
	return strings.Fields(docker(p.t, append(args, addresses...)...))
}

func (p *production) testNetworks() {
	pages := []string{"video-streaming:80", "video-upload:80", "history:80", "recommendations:80", "metadata:80"}
	behind := []string{"video-storage:80", "rabbit:5672", "db:27017", "azurite:10000"}
	for service, want := range map[string][]string{
		"gateway":         pages,
		"video-streaming": {"video-storage:80", "rabbit:5672"},
		"video-upload":    {"video-storage:80", "rabbit:5672"},
		"video-storage":   {"video-storage:80", "rabbit:5672", "azurite:10000"},
		"metadata":        {"video-storage:80", "rabbit:5672", "db:27017"},
		"history":         {"video-storage:80", "rabbit:5672", "db:27017"},
		"recommendations": {"video-storage:80", "rabbit:5672", "db:27017"},
	} {
		asked := behind
		if service == "gateway" {
			asked = append(slices.Clone(pages), behind...)
		}
		if got := p.reaches(service, asked); !slices.Equal(got, want) {
			p.t.Errorf("%s reaches %v, want %v", service, got, want)
		}
	}
}

// recorded returns the ids of all views that history lists.
func (p *production) recorded() (ids []string) {
	p.t.Helper()
	const page = 500
	for skip := 0; ; skip += page {
		answer := docker(p.t, "run", "--rm", "--network", p.name+"_pages", "--entrypoint", "bash", shell, "-c", fmt.Sprintf(
			`exec 3<>/dev/tcp/history/80; printf 'GET /history?skip=%d&limit=%d HTTP/1.0\r\nHost: history\r\n\r\n' >&3; cat <&3`,
			skip, page))
		_, body, _ := strings.Cut(answer, "\r\n\r\n")
		var list struct {
			History []struct {
				ID string `json:"_id"`
			} `json:"history"`
		}
		if err := json.Unmarshal([]byte(body), &list); err != nil {
			p.t.Fatalf("history: %v\n%s", err, answer)
		}
		for _, view := range list.History {
			ids = append(ids, view.ID)
		}
		if len(list.History) < page {
			return ids
		}
	}
}

// allRecorded waits until each of the views is recorded, and fails if one is twice.
func (p *production) allRecorded(views []string) {
	p.t.Helper()
	if len(views) == 0 {
		p.t.Fatal("nobody watched anything")
	}
	var ids []string
	var lost int
	for end := time.Now().Add(deadline); ; {
		ids, lost = p.recorded(), 0
		for _, view := range views {
			if !slices.Contains(ids, view) {
				lost++
			}
		}
		if lost == 0 || time.Now().After(end) {
			break
		}
	}
	slices.Sort(ids)
	if n := len(slices.Compact(slices.Clone(ids))); lost > 0 || n != len(ids) {
		p.t.Fatalf("of %d views %d are lost and %d are there twice", len(views), lost, len(ids)-n)
	}
}

// watching makes viewings until stop is called, which returns their ids.
func (p *production) watching() (stop func() []string) {
	p.t.Helper()
	ctx, cancel := context.WithCancel(p.t.Context())
	crowd, views := newCrowd(p.t, p.site), make(chan []string, 1)
	go func() { views <- crowd.watch(ctx, p.videos) }()
	return func() []string {
		cancel()
		return <-views
	}
}

// during lets viewings go on for a while.
func during(d time.Duration) { <-time.After(d) }

func (p *production) testBrokerKilled() {
	stop := p.watching()
	during(3 * time.Second)
	p.compose("kill", "-s", "SIGKILL", "rabbit")
	during(5 * time.Second)
	p.compose("start", "rabbit")
	during(5 * time.Second)
	views := stop()
	started := time.Now()
	p.allRecorded(views)
	measured(p.t, fmt.Sprintf("RabbitMQ killed for 5 s under %d views, none lost; the last recorded after", len(views)), time.Since(started))
}

func (p *production) testScaled() {
	p.compose("up", "-d", "--no-build", "--scale", "history=2", "--scale", "recommendations=2", "--scale", "video-streaming=2")
	waitFor(p.t, "two of each", deadline, func() error {
		health := p.compose("ps", "--format", "{{.Service}} {{.Health}}")
		for _, service := range []string{"history", "recommendations", "video-streaming"} {
			if strings.Count(health, service+" healthy") != 2 {
				return errors.New(health)
			}
		}
		queues := p.compose("exec", "-T", "rabbit", "rabbitmqctl", "-q", "list_queues", "name", "consumers")
		if !strings.Contains(queues, "history.viewed\t2\n") || !strings.Contains(queues, "recommendations.viewed\t2\n") {
			return errors.New(queues)
		}
		return nil
	})
	stop := p.watching()
	during(5 * time.Second)
	views := stop()
	p.allRecorded(views)
	measured(p.t, "views recorded once by two replicas each", len(views))
}

func (p *production) testDownAndUp() {
	before := p.recorded()
	stop := p.watching()
	during(2 * time.Second)
	started := time.Now()
	p.compose("down")
	measured(p.t, "production: down under views", time.Since(started))
	views := stop()
	started = time.Now()
	p.compose("up", "-d", "--no-build", "--scale", "history=2", "--scale", "recommendations=2", "--scale", "video-streaming=2")
	waitListed(p.t, p.site, len(p.videos))
	measured(p.t, "production: up again, to the home page with its videos", time.Since(started))
	for _, video := range p.videos {
		if _, err := get(p.site + "/video?id=" + video); err != nil { // the home page has the newest, and the journeys uploaded some
			p.t.Errorf("video %s is lost: %v", video, err)
		}
		if body, err := get(p.site+"/api/video?id="+video+"&view="+newUUID(), "Range", "bytes=100-199"); err != nil || len(body) != 100 {
			p.t.Errorf("video %s does not play: %d bytes, %v", video, len(body), err)
		}
	}
	p.allRecorded(append(views, before...))
	measured(p.t, "views recorded across down and up, none lost", len(views))
}
