//go:build containers

package containers

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// services are the seven, in the order of their ports.
var services = []string{
	"gateway", "video-streaming", "history", "recommendations", "video-upload", "video-storage", "metadata",
}

// shell is an image with bash that is there anyway.
var shell = cmp.Or(os.Getenv("SHELL_IMAGE"), "rabbitmq:4-management")

// deadline is how long a test waits for a result on a slow machine.
const deadline = 5 * time.Minute

// project is a compose project on a copy of the sources.
type project struct {
	t    *testing.T
	name string
	dir  string
	file string
	env  []string // of compose: settings that .env would hold

	overrides []string // files that change what the first one says
}

// prefix begins the names of what a test makes.
func prefix(t *testing.T) string {
	t.Helper()
	s := os.Getenv("CONTAINERS")
	if s == "" {
		t.Fatal("CONTAINERS is missing: scripts/test-containers runs this")
	}
	return s
}

// newProject copies the sources for a project. At the test's end everything is removed, and the test fails if something
// is left.
func newProject(t *testing.T, kind, file string, env ...string) *project {
	t.Helper()
	p := &project{t: t, name: prefix(t) + "-" + kind, dir: copySources(t), file: file, env: env, overrides: strings.Fields(os.Getenv("OVERRIDES"))}
	t.Cleanup(func() {
		p.t = t
		if t.Failed() {
			logs, _ := p.try("logs", "--no-color", "--tail", "60")
			t.Logf("the end of the logs:\n%s", logs)
		}
		p.compose("--profile", "*", "down", "-v", "--remove-orphans")
		for image := range strings.FieldsSeq(docker(t, "images", "--format", "{{.Repository}}:{{.Tag}}")) {
			if strings.HasPrefix(image, p.name+"/") {
				docker(t, "rmi", image)
			}
		}
		label := "label=com.docker.compose.project=" + p.name
		for what, left := range map[string]string{
			"containers": docker(t, "ps", "-aq", "--filter", label),
			"volumes":    docker(t, "volume", "ls", "-q", "--filter", label),
			"networks":   docker(t, "network", "ls", "-q", "--filter", label),
		} {
			if left != "" {
				t.Errorf("down -v left %s: %s", what, left)
			}
		}
	})
	return p
}

// standIn says what an image is that stands in for another, by its own label; for others it is empty.
func standIn(image string) string {
	label, err := exec.Command("docker", "image", "inspect", "-f", `{{index .Config.Labels "stand-in"}}`, image).Output()
	if err != nil {
		return "" // it is not here yet
	}
	return strings.TrimSpace(string(label))
}

// images tells which of the images that others make are not what their name says, by their own label.
func images(t *testing.T, p *project) {
	t.Helper()
	for image := range strings.FieldsSeq(p.compose("config", "--images")) {
		if what := standIn(image); what != "" && !strings.HasPrefix(image, "flixtube/") {
			t.Logf("NOTE %s is a stand-in: %s", image, what)
		}
	}
}

// copySources copies what a clone would have, with the changes of the working tree.
func copySources(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	list, err := exec.Command("git", "-C", "..", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	for _, name := range strings.Split(strings.TrimRight(string(list), "\x00"), "\x00") {
		from, to := filepath.Join("..", name), filepath.Join(dir, name)
		info, err := os.Stat(from)
		if os.IsNotExist(err) {
			continue // deleted, and not yet committed
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, content, info.Mode().Perm()|0o444); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// settings is the environment of compose: this process's own without those that files of ours read, and then env.
func settings(env ...string) []string {
	own := regexp.MustCompile(`^(RABBITMQ|MONGO|STORAGE|GATEWAY|DEBUG|DEV|AIR|COOKIE|COMPOSE|REGISTRY)_|` +
		`^(PORTS|DOMAIN|HTTP_PORT|HTTPS_PORT|FRONT_SUBNET|CPUS|SWEEP_SINCE|TRUSTED_PROXIES|REGISTRY|TAG|VIEWED_DELIVERY|LOG_LEVEL|RATE_LIMIT|UPLOAD_LIMIT|PLATFORMS|CONTAINERS)=`)
	return append(slices.DeleteFunc(os.Environ(), own.MatchString), env...)
}

func (p *project) command(args ...string) *exec.Cmd {
	all := []string{"compose", "-p", p.name, "-f", p.file}
	for _, file := range p.overrides {
		all = append(all, "-f", file)
	}
	cmd := exec.Command("docker", append(all, args...)...)
	cmd.Dir, cmd.Env = p.dir, settings(p.env...)
	return cmd
}

// try returns what compose wrote, to either output.
func (p *project) try(args ...string) (string, error) {
	output, err := p.command(args...).CombinedOutput()
	return string(output), err
}

func (p *project) compose(args ...string) string {
	p.t.Helper()
	output, err := p.try(args...)
	if err != nil {
		p.t.Fatalf("docker compose %s: %v\n%s", strings.Join(args, " "), err, output)
	}
	return output
}

// script is a script of the project's folder, as its reader would run it.
func (p *project) script(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("scripts/"+name, args...)
	cmd.Dir, cmd.Env = p.dir, settings(append(slices.Clone(p.env), "COMPOSE_PROJECT_NAME="+p.name)...)
	return cmd
}

// runScript returns what the script wrote.
func (p *project) runScript(name string, args ...string) string {
	p.t.Helper()
	output, err := p.script(name, args...).CombinedOutput()
	if err != nil {
		p.t.Fatalf("%s %q: %v\n%s", name, args, err, output)
	}
	return string(output)
}

func docker(t *testing.T, args ...string) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command("docker", args...)
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(output))
}

// container is what docker inspect tells, as far as it matters here.
type container struct {
	Image  string
	Config struct {
		Healthcheck struct {
			Test     []string
			Interval time.Duration
		}
	}
	State struct {
		OOMKilled bool
		Health    *struct{ Status string }
	}
	RestartCount int
	HostConfig   struct {
		ReadonlyRootfs bool
		CapDrop        []string
		SecurityOpt    []string
		Memory         int64
		NanoCpus       int64
		PidsLimit      *int64
		RestartPolicy  struct{ Name string }
		LogConfig      struct{ Config map[string]string }
	}
	Mounts          []struct{ Type, Name, Destination string }
	NetworkSettings struct {
		Ports map[string][]struct{ HostIp, HostPort string }
	}
}

// id is that of the first container of a service.
func (p *project) id(service string) string {
	p.t.Helper()
	ids := strings.Fields(p.compose("ps", "-aq", service))
	if len(ids) == 0 {
		p.t.Fatalf("there is no container of %s", service)
	}
	return ids[0]
}

func (p *project) inspect(service string) (c container) {
	p.t.Helper()
	if err := json.Unmarshal([]byte(docker(p.t, "inspect", "-f", "{{json .}}", p.id(service))), &c); err != nil {
		p.t.Fatal(err)
	}
	return c
}

// testVolumes finds volumes without a name: each down would leave one behind.
func (p *project) testVolumes() {
	p.t.Helper()
	for _, service := range strings.Fields(p.compose("ps", "-a", "--services")) {
		for _, m := range p.inspect(service).Mounts {
			if m.Type == "volume" && !strings.HasPrefix(m.Name, p.name+"_") {
				p.t.Errorf("%s has a volume without a name at %s", service, m.Destination)
			}
		}
	}
}

// testAttached: the log in the foreground is that of all services but these.
func (p *project) testAttached(quiet ...string) {
	p.t.Helper()
	var config struct {
		Services map[string]struct{ Attach *bool }
	}
	if err := json.Unmarshal([]byte(p.compose("--profile", "*", "config", "--format", "json")), &config); err != nil {
		p.t.Fatal(err)
	}
	for service, c := range config.Services {
		if attached := c.Attach == nil || *c.Attach; attached == slices.Contains(quiet, service) {
			p.t.Errorf("%s writes into the foreground's log: %t", service, attached)
		}
	}
}

// published maps each published port to the address it is bound to.
func (p *project) published() map[string]string {
	p.t.Helper()
	all := map[string]string{}
	for _, service := range strings.Fields(p.compose("ps", "--services")) {
		for port, bindings := range p.inspect(service).NetworkSettings.Ports {
			for _, b := range bindings {
				all[service+" "+port] = b.HostIp
			}
		}
	}
	return all
}

// waitFor polls. It looks often, because some of what is waited for is measured.
func waitFor(t *testing.T, what string, limit time.Duration, try func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	t.Fatalf("%s: still after %v: %v", what, limit, err)
}

// measured prints a figure.
func measured(t *testing.T, what string, value any) {
	t.Helper()
	if d, ok := value.(time.Duration); ok {
		value = fmt.Sprintf("%.1f s", d.Seconds())
	}
	t.Logf("MEASURED %s: %v", what, value)
}

// freePorts returns a number n so that the twenty ports from n0 of this machine are free. They are below those that
// connections going out are given, so that they stay free until they are used.
func freePorts(t *testing.T) int {
	t.Helper()
	for range 100 {
		n := 2000 + 2*mathrand.IntN(600)
		free := true
		for i := range 20 {
			l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(n*10+i))
			if err != nil {
				free = false
				break
			}
			l.Close()
		}
		if free {
			return n
		}
	}
	t.Fatal("no ports are free")
	return 0
}

// get returns the body of a 2xx answer.
func get(url string, headers ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return do(http.DefaultClient, req)
}

func do(client *http.Client, req *http.Request) (string, error) {
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode/100 != 2 {
		err = fmt.Errorf("%s: %s: %.200s", req.URL, res.Status, body)
	}
	return string(body), err
}

var videoLink = regexp.MustCompile(`/video\?id=([^"&]+)"`)

// listed returns the ids of the videos on the home page, without those that it recommends.
func listed(site string) ([]string, error) {
	page, err := get(site + "/")
	if err != nil {
		return nil, err
	}
	_, page, _ = strings.Cut(page, `id="video-list"`)
	var ids []string
	for _, m := range videoLink.FindAllStringSubmatch(page, -1) {
		if !slices.Contains(ids, m[1]) {
			ids = append(ids, m[1])
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// waitListed waits until n videos are on the home page.
func waitListed(t *testing.T, site string, n int) (ids []string) {
	t.Helper()
	waitFor(t, "the home page", deadline, func() (err error) {
		if ids, err = listed(site); err == nil && len(ids) < n {
			err = fmt.Errorf("it lists %d videos", len(ids))
		}
		return err
	})
	return ids
}

func samples(t *testing.T) (files []string) {
	t.Helper()
	files, err := filepath.Glob("../flixtube/samples/*.mp4")
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	return files
}

// uploadSamples uploads the sample videos, and returns how many.
func uploadSamples(t *testing.T, site string) int {
	t.Helper()
	files := samples(t)
	for i, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, site+"/api/upload", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("File-Name", fmt.Sprintf("sample%d.mp4", i))
		if _, err := do(http.DefaultClient, req); err != nil {
			t.Fatalf("upload: %v", err)
		}
	}
	return len(files)
}

// journeys runs the journeys of e2e against site.
func journeys(t *testing.T, site string, env ...string) {
	t.Helper()
	started := time.Now()
	cmd := exec.Command("go", "test", "-count=1", "-run", "^TestJourney", "-v", "flixtube/e2e")
	cmd.Dir = ".."
	cmd.Env = append(append(os.Environ(), "FLIXTUBE_URL="+site, "GOWORK="), env...)
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("the journeys: %v\n%s", err, output)
	}
	passed := regexp.MustCompile(`(?m)^--- PASS: TestJourney`).FindAll(output, -1)
	if len(passed) == 0 {
		t.Errorf("no journey ran:\n%s", output)
	}
	measured(t, fmt.Sprintf("%d journeys of the whole system at %s", len(passed), site), time.Since(started))
}

// newUUID names a viewing.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// crowd watches videos, each viewer with a cookie of its own.
type crowd struct {
	site    string
	viewers []*http.Client
}

func newCrowd(t *testing.T, site string) *crowd {
	t.Helper()
	c := &crowd{site: site}
	for range 10 {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		c.viewers = append(c.viewers, &http.Client{Jar: jar, Timeout: 10 * time.Second})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, site+"/upload", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := do(c.viewers[len(c.viewers)-1], req); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// watch makes viewings, some 50 per second, until ctx is done, and returns the ids of those that began to play.
func (c *crowd) watch(ctx context.Context, videos []string) (views []string) {
	for i := 0; ctx.Err() == nil; i++ {
		view := newUUID()
		req, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodGet,
			c.site+"/api/video?id="+videos[i%len(videos)]+"&view="+view, nil)
		if err != nil {
			return views
		}
		req.Header.Set("Range", "bytes=0-0")
		if _, err := do(c.viewers[i%len(c.viewers)], req); err == nil {
			views = append(views, view)
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	return views
}
