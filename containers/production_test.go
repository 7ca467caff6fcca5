//go:build containers

package containers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
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
	secrets  map[string]string // each password or key, by its file
	videos   []string
}

// maxImage is what an image may have, in bytes.
const maxImage = 20_000_000

func TestProduction(t *testing.T) {
	port := strconv.Itoa(freePorts(t) * 10)
	p := &production{
		project: newProject(t, "production", "docker-compose-prod.yml"),
		site:    "http://127.0.0.1:" + port, tag: "v0.0.0-test",
	}
	p.registry = p.name // so that newProject removes them
	p.settings(port)
	if output, err := p.try("up", "-d", "--no-build", "rabbit"); err == nil || !strings.Contains(output, "/secrets/rabbit-definitions") {
		t.Fatalf("without secrets: %v\n%s", err, output)
	}
	p.compose("down", "-v")
	p.makeSecrets()
	p.nameFiles()
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
		{"secrets", (*production).testSecrets},
		{"rights", (*production).testRights},
		{"networks", (*production).testNetworks},
		{"TLS", (*production).testTLS}, // with the journeys, which development plays by HTTP
		{"uploads under views", func(p *production) { p.testUploadsUnderViews("folder", p.videos, 200, ownAddress) }},
		{"uploads of one address", func(p *production) { p.testUploadsUnderViews("folder, one address", p.videos, 40, oneAddress) }},
		{"hung", (*production).testHung},
		{"RabbitMQ killed", (*production).testBrokerKilled},
		{"scaled", (*production).testScaled},
		{"slow watchers", (*production).testSlowWatchers},
		{"database's log", (*production).testDatabaseLog},
		{"down and up", (*production).testDownAndUp},
		{"upgrade", (*production).testUpgrade},
		{"rollback", (*production).testRollback},
		{"backup", (*production).testBackup},
		{"videos of others", (*production).testVideosOfOthers},
		{"Azurite", (*production).testAzurite},
	} {
		ok := t.Run(step.name, func(t *testing.T) {
			inner, base := *p, *p.project
			inner.project, base.t = &base, t
			step.run(&inner)
			p.tag = inner.tag // the upgrade changes it
		})
		if !ok {
			break
		}
	}
}

func (p *production) image(service string) string { return p.registry + "/" + service + ":" + p.tag }

// settings makes .env. What docker-proxy forwards comes from an address of Docker's networks.
func (p *production) settings(port string) {
	p.t.Helper()
	text := fmt.Sprintf("GATEWAY_PORT=%s\nREGISTRY=%s\nTAG=%s\nREVISION=0123abcd\nTRUSTED_PROXIES=172.16.0.0/12,192.168.0.0/16\nFRONT_SUBNET=10.213.%d.0/28\n",
		port, p.registry, p.tag, os.Getpid()%256)
	if err := os.WriteFile(filepath.Join(p.dir, ".env"), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// nameFiles adds to .env which files Compose and the scripts use.
func (p *production) nameFiles() {
	p.t.Helper()
	path := filepath.Join(p.dir, ".env")
	text, err := os.ReadFile(path)
	if err == nil {
		text = fmt.Appendf(text, "COMPOSE_FILE=%s\n", strings.Join(append([]string{p.file}, p.overrides...), ":"))
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// makeSecrets runs scripts/make-secrets twice: what is there stays. Where mongo:8 is a stand-in that knows no roles, the
// services log in as root.
func (p *production) makeSecrets() {
	p.t.Helper()
	first := p.runScript("make-secrets")
	p.readSecrets()
	before := p.secrets["viewer-key"]
	p.runScript("make-secrets")
	if p.readSecrets(); p.secrets["viewer-key"] != before || len(before) != 64 {
		p.t.Errorf("make-secrets makes another viewer-key: %s", first)
	}
	p.refusesWeakSecrets()
	label, err := exec.Command("docker", "image", "inspect", "-f", `{{index .Config.Labels "stand-in"}}`, "mongo:8").Output()
	if err != nil || strings.TrimSpace(string(label)) == "" {
		return
	}
	p.t.Log("NOTE the users of MongoDB and their roles are not tried: all services log in as root")
	p.overrides = append(p.overrides, "containers/testdata/stand-in.yml")
	for _, service := range []string{"metadata", "history", "recommendations"} {
		address := "mongodb://root:" + p.secrets["mongo-root-password"] + "@db:27017/?authSource=admin"
		if err := os.WriteFile(filepath.Join(p.dir, "secrets", "dbhost-"+service), []byte(address), 0o644); err != nil {
			p.t.Fatal(err)
		}
	}
	p.readSecrets()
}

// refusesWeakSecrets puts a secret that can be guessed in the place of each kind.
func (p *production) refusesWeakSecrets() {
	p.t.Helper()
	for name, weak := range map[string]string{
		"mongo-root-password": "passwordpassword",
		"viewer-key":          "for-development-alone-everybody-knows-it",
		"rabbit-history":      "amqp://history:short@rabbit:5672",
		"dbhost-metadata":     "mongodb://metadata:aaaaaaaaaaaaaaaaaaaaaaaa@db:27017/?authSource=metadata",
	} {
		path := filepath.Join(p.dir, "secrets", name)
		before, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, []byte(weak+"\n"), 0o644)
		}
		if err != nil {
			p.t.Fatal(err)
		}
		output, err := p.script("make-secrets").CombinedOutput()
		if err == nil || !strings.Contains(string(output), "secrets/"+name+" can be guessed") {
			p.t.Errorf("%s is %q: %v\n%s", name, weak, err, output)
		}
		if err := os.WriteFile(path, before, 0o644); err != nil {
			p.t.Fatal(err)
		}
	}
	p.runScript("make-secrets")
}

// readSecrets finds the passwords in the files, some of which are addresses.
func (p *production) readSecrets() {
	p.t.Helper()
	p.secrets = map[string]string{}
	files, err := filepath.Glob(filepath.Join(p.dir, "secrets", "*"))
	if err != nil {
		p.t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			p.t.Fatal(err)
		}
		name, secret := filepath.Base(file), strings.TrimSpace(string(text))
		if u, err := url.Parse(secret); err == nil && u.User != nil {
			secret, _ = u.User.Password()
		}
		if name != "rabbit-definitions" && name != "mongo-users.js" && secret != "" { // they hold those of others
			p.secrets[name] = secret
		}
	}
}

// testSecrets looks for the secrets where docker shows settings.
func (p *production) testSecrets() {
	for _, id := range strings.Fields(p.compose("ps", "-aq")) {
		inspected := docker(p.t, "inspect", id)
		for name, secret := range p.secrets {
			if strings.Contains(inspected, secret) {
				p.t.Errorf("docker inspect shows %s", name)
			}
		}
	}
	measured(p.t, "secrets that docker inspect does not show", len(p.secrets))
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
	p.testAttached("rabbit", "db", "tls")
	all := append(slices.Clone(services), "rabbit", "db")
	for _, service := range all {
		c := p.inspect(service)
		host := c.HostConfig
		if !host.ReadonlyRootfs || !slices.Equal(host.CapDrop, []string{"ALL"}) || host.Memory == 0 || host.NanoCpus == 0 ||
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
		waitFor(p.t, "the health of "+service, deadline, func() error { return p.healthy(service) })
	}
	if published := p.published(); len(published) != 1 || published["gateway 80/tcp"] != "127.0.0.1" {
		p.t.Errorf("published are %v", published)
	}
	writing := p.command("cp", "docker-compose-prod.yml", "gateway:/")
	if output, err := writing.CombinedOutput(); err == nil || !strings.Contains(string(output), "read-only") {
		p.t.Errorf("the gateway's root can be written: %v\n%s", err, output)
	}
}

// healthy returns an error unless the service's health check ended well.
func (p *production) healthy(service string) error {
	if c := p.inspect(service); c.State.Health == nil || c.State.Health.Status != "healthy" {
		return fmt.Errorf("%+v", c.State.Health)
	}
	return nil
}

// testDatabaseLog: the database does not fill its log with the connections of its health check. MongoDB writes nothing about
// them. A stand-in may, but less than the 45 lines a minute that MongoDB had written.
func (p *production) testDatabaseLog() {
	const checks = 20
	db, id, limit := p.inspect("db"), p.id("db"), 1.0
	if what := standIn(db.Image); what != "" {
		limit = 45
		p.t.Logf("NOTE the log is that of a stand-in: %s", what)
	}
	check := db.Config.Healthcheck
	began := time.Now()
	for range checks {
		docker(p.t, append([]string{"exec", id}, check.Test[1:]...)...)
	}
	log, err := exec.Command("docker", "logs", "--since", began.Format(time.RFC3339Nano), id).CombinedOutput()
	if err != nil {
		p.t.Fatalf("docker logs: %v\n%s", err, log)
	}
	lines := 0
	for line := range bytes.Lines(log) {
		if bytes.Contains(bytes.ToLower(line), []byte("connection")) {
			lines++
		}
	}
	perMinute := float64(lines) / checks * float64(time.Minute) / float64(check.Interval)
	measured(p.t, "lines a minute in the database's log about the connections of its health check", fmt.Sprintf("%.1f", perMinute))
	if perMinute > limit {
		p.t.Errorf("want at most %.0f. The log of %d checks:\n%s", limit, checks, log[max(0, len(log)-4000):])
	}
}

// testHung stops a process without ending it, as if all of it hung.
func (p *production) testHung() {
	script := `for p in /proc/[0-9]*; do [ "$(cat $p/comm)" != service ] || kill -STOP ${p#/proc/}; done`
	docker(p.t, "run", "--rm", "--pid=container:"+p.id("history"), "--user=65532", "--entrypoint", "bash", shell, "-c", script)
	started := time.Now()
	waitFor(p.t, "history to be started again", deadline, func() error {
		if c := p.inspect("history"); c.RestartCount == 0 {
			return fmt.Errorf("%+v", c.State)
		}
		return p.healthy("history")
	})
	measured(p.t, "history hangs, until it is restarted and ready", time.Since(started))
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
	behind := []string{"video-storage:80", "rabbit:5672", "rabbit:15672", "rabbit:15692", "db:27017"}
	for service, want := range map[string][]string{
		"gateway":         pages,
		"video-streaming": {"video-storage:80", "rabbit:5672"},
		"video-upload":    {"video-storage:80", "rabbit:5672"},
		"video-storage":   {"video-storage:80", "rabbit:5672"},
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

// ask decodes the JSON that an inner service answers to a GET.
func (p *production) ask(service, path string, answer any) error {
	const script = `exec 3<>"/dev/tcp/$0/80"; printf 'GET %s HTTP/1.0\r\nHost: %s\r\n\r\n' "$1" "$0" >&3; cat <&3`
	output, err := exec.Command("docker", "run", "--rm", "--network", p.name+"_pages", "--entrypoint", "bash", shell,
		"-c", script, service, path).CombinedOutput()
	head, body, _ := strings.Cut(string(output), "\r\n\r\n")
	if err == nil && !strings.Contains(head, " 200 ") {
		err = errors.New("it is not answered with 200")
	}
	if err == nil {
		err = json.Unmarshal([]byte(body), answer)
	}
	if err != nil {
		return fmt.Errorf("%s%s: %w\n%.2000s", service, path, err, output)
	}
	return nil
}

// recorded returns the ids of all views that history lists.
func (p *production) recorded() (ids []string) {
	p.t.Helper()
	const page = 500
	for skip := 0; ; skip += page {
		var list struct {
			History []struct {
				ID string `json:"_id"`
			} `json:"history"`
		}
		if err := p.ask("history", fmt.Sprintf("/history?skip=%d&limit=%d", skip, page), &list); err != nil {
			p.t.Fatal(err)
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

// refusesSecondGateway: at a single port there can be one. It goes on when Docker refuses another.
func (p *production) refusesSecondGateway() {
	p.t.Helper()
	first := p.id("gateway")
	output, err := p.try("up", "-d", "--no-build", "--no-deps", "--scale", "gateway=2", "gateway")
	if err == nil || !strings.Contains(output, "port is already allocated") {
		p.t.Errorf("a second gateway at one port: %v\n%s", err, output)
	}
	if _, err := get(p.site + "/readyz"); err != nil {
		p.t.Errorf("the first gateway, after a second one was refused: %v", err)
	}
	for id := range strings.FieldsSeq(p.compose("ps", "-aq", "gateway")) {
		if id != first {
			docker(p.t, "rm", "-f", id)
		}
	}
}

func (p *production) testScaled() {
	p.refusesSecondGateway()
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
	}
	p.plays()
	p.allRecorded(append(views, before...))
	measured(p.t, "views recorded across down and up, none lost", len(views))
}
