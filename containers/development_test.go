//go:build containers

package containers

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// development is docker-compose.yml, running.
type development struct {
	*project
	ports int // the first digits of the services'
}

func (d development) url(service string) string {
	return fmt.Sprintf("http://127.0.0.1:%d%d", d.ports, slices.Index(services, service))
}

// starts counts how often each service has started within its container.
func (d development) starts() map[string]int {
	d.t.Helper()
	all := map[string]int{}
	for _, service := range services {
		all[service] = strings.Count(d.compose("logs", "--no-color", service), "msg=listening")
	}
	return all
}

// connections lists those to the broker, by the service that has them.
func (d development) connections() map[string][]string {
	d.t.Helper()
	all := map[string][]string{}
	list := d.compose("exec", "-T", "rabbit", "rabbitmqctl", "-q", "list_connections", "client_properties", "pid")
	for line := range strings.Lines(list) {
		properties, pid, _ := strings.Cut(strings.TrimSpace(line), "\t")
		for _, service := range services {
			if strings.Contains(properties, `{"connection_name","`+service+`"}`) {
				all[service] = append(all[service], pid)
			}
		}
	}
	for service := range all {
		slices.Sort(all[service])
	}
	return all
}

// reload saves a change of a service's file, which is to bring a text with it, and measures the time until answer finds
// that text. On two cores with nothing else to do that is to be less than five seconds; docs/containers.md has figures.
func (d development) reload(what string, save func(text string), answer func(text string) error) {
	d.t.Helper()
	text := "probe " + rand.Text()
	started := time.Now()
	save(text)
	waitFor(d.t, what, deadline, func() error { return answer(text) })
	measured(d.t, "reload: "+what, time.Since(started))
}

// edit is a save func: it puts text where mark is, or where it put one before.
func (d development) edit(name, mark string) func(text string) {
	d.t.Helper()
	path := filepath.Join(d.dir, name)
	original, err := os.ReadFile(path)
	if err != nil {
		d.t.Fatal(err)
	}
	from, to, _ := strings.Cut(mark, "→")
	if !strings.Contains(string(original), from) {
		d.t.Fatalf("%s has no %q", name, from)
	}
	return func(text string) {
		edited := strings.Replace(string(original), from, from+strings.ReplaceAll(to, "TEXT", text), 1)
		if err := os.WriteFile(path, []byte(edited), 0o644); err != nil {
			d.t.Fatal(err)
		}
	}
}

// route is an edit that makes a service answer GET /probe with the text.
const route = "web.NewEcho(log, checks...)\n→" + `
	e.GET("/probe", func(c echo.Context) error { return c.String(200, "TEXT") })
`

// answers is an answer func: what url answers holds the text.
func answers(url string) func(text string) error {
	return func(text string) error {
		body, err := get(url)
		if err == nil && !strings.Contains(body, text) {
			err = fmt.Errorf("no %q in %.300s", text, body)
		}
		return err
	}
}

func TestDevelopment(t *testing.T) {
	ports := freePorts(t)
	d := development{newProject(t, "development", "docker-compose.yml", fmt.Sprintf("PORTS=%d", ports),
		fmt.Sprintf("DEBUG_PORTS=%d", ports+1), fmt.Sprintf("RABBITMQ_PORT=%d9", ports)), ports}
	d.compose("config", "-q")
	d.compose("-f", "docker-compose.debug.yml", "config", "-q")
	images(t, d.project)

	started := time.Now()
	d.compose("up", "-d")
	measured(t, "development: up, with making the image", time.Since(started))
	waitListed(t, d.url("gateway"), len(samples(t)))
	measured(t, "development: first start, compiling everything, to the samples on the home page", time.Since(started))

	for _, step := range []struct {
		name string
		run  func(development)
	}{
		{"ports", development.testPorts},
		{"journeys", func(d development) { journeys(d.t, d.url("gateway")) }},
		{"reload", development.testReload},
		{"save during a download", development.testSaveDuringDownload},
		{"broken", development.testBroken},
		{"does not start", development.testDoesNotStart},
		{"go test", development.testGoTest},
		{"chassis", development.testChassis},
		{"second start", development.testSecondStart},
		{"debug", development.testDebug},
		{"unreadable", development.testUnreadable},
	} {
		ok := t.Run(step.name, func(t *testing.T) {
			inner := *d.project
			inner.t = t
			step.run(development{&inner, ports})
		})
		if !ok {
			break
		}
	}
}

// servers are what our services use.
var servers = []string{"rabbit", "db", "azurite"}

func (d development) testPorts() {
	d.testVolumes()
	for _, service := range slices.Concat(servers, services) {
		if limit := d.inspect(service).HostConfig.LogConfig.Config["max-size"]; limit != "10m" {
			d.t.Errorf("the log of %s may have %q", service, limit)
		}
	}
	d.testAttached(append(slices.Clone(servers), "contracts", "contracts-db")...)
	published := d.published()
	if len(published) != len(services)+1 {
		d.t.Errorf("published are %v", published)
	}
	for port, address := range published {
		if address != "127.0.0.1" {
			d.t.Errorf("%s is published at %q", port, address)
		}
	}
}

func (d development) testReload() {
	starts, connections, complaints := d.starts(), d.connections(), d.complaints()
	if len(connections) != len(services)-1 {
		d.t.Fatalf("connected to the broker are %v", connections)
	}
	d.reload("Go", d.edit("history/service.go", route), answers(d.url("history")+"/probe"))
	home := d.url("gateway") + "/"
	d.reload("template", d.edit("gateway/internal/site/pages/home.html", `{{define "main"}}→<p>TEXT</p>`), answers(home))
	// A style or a script changes its address on the page, too.
	asset := func(name string) func(text string) error {
		return func(text string) error {
			page, err := get(home)
			if err != nil {
				return err
			}
			_, rest, _ := strings.Cut(page, "/assets/")
			fingerprint, _, _ := strings.Cut(rest, "/")
			return answers(home + "assets/" + fingerprint + "/" + name)(text)
		}
	}
	d.reload("CSS", d.edit("gateway/internal/site/assets/flixtube.css", "\n→/* TEXT */\n"), asset("flixtube.css"))
	d.reload("JS", d.edit("gateway/internal/site/assets/upload.js", "\n→// TEXT\n"), asset("upload.js"))

	if n := d.complaints(); n != complaints {
		d.t.Errorf("of good builds the log complains %d times", n-complaints)
	}
	for service, n := range d.starts() {
		if edited := service == "history" || service == "gateway"; edited != (n > starts[service]) {
			d.t.Errorf("%s has started %d times, before %d", service, n, starts[service])
		}
	}
	now := d.connections()
	delete(connections, "history")
	delete(now, "history")
	if fmt.Sprint(now) != fmt.Sprint(connections) {
		d.t.Errorf("connections of others were disturbed: %v became %v", connections, now)
	}
}

// complaints counts those of scripts/develop about builds of the two services that testReload edits. The gateway needs
// nobody to be ready.
func (d development) complaints() int {
	d.t.Helper()
	gateway := d.log("gateway")
	return strings.Count(d.log("history")+gateway, "is not rebuilt") + strings.Count(gateway, "not ready yet")
}

func (d development) testBroken() {
	starts := d.starts()
	listing := d.url("metadata") + "/videos"
	began := time.Now()
	breaking := d.edit("metadata/service.go", "package main\n→this is not Go TEXT\n")
	mending := d.edit("metadata/service.go", route)
	for i := range 3 { // one after the other, as a developer would
		breaking(rand.Text())
		waitFor(d.t, "the compiler's message", deadline, func() error {
			if _, err := get(listing); err != nil {
				d.t.Fatalf("the old process does not serve: %v", err)
			}
			if strings.Count(d.compose("logs", "--no-color", "metadata"), "syntax error") < i+1 {
				return errors.New("it is not in the log")
			}
			return nil
		})
		if i == 0 {
			measured(d.t, "reload: a broken edit, to the compiler's message", time.Since(began))
		}
	}
	if now := d.starts(); fmt.Sprint(now) != fmt.Sprint(starts) {
		d.t.Errorf("starts were %v, want %v", now, starts)
	}
	d.reload("mending what was broken", mending, answers(d.url("metadata")+"/probe"))
}

// testDoesNotStart: what compiles but does not start replaces nothing, and the log says why. Nor does a comment.
func (d development) testDoesNotStart() {
	starts, same := d.starts(), strings.Count(d.log("gateway"), "gateway is the same as before")
	unchanged := func(what string) {
		same++
		waitFor(d.t, what, deadline, func() error {
			if n := strings.Count(d.log("gateway"), "gateway is the same as before"); n < same {
				return fmt.Errorf("%d builds were the same as before, want %d", n, same)
			}
			return nil
		})
	}
	const main = "gateway/main.go"
	for i, tc := range []struct{ name, file, mark, says string }{
		{"a template that cannot be parsed", "gateway/internal/site/pages/home.html", `{{define "main"}}→{{if}}`, "missing value for if"},
		{"a panic in init", main, "func main() { process.Main(run) }\n→func init() { panic(\"TEXT\") }\n", "panic: TEXT"},
		{"a variable that is missing", "gateway/config.go", "env := process.NewEnv(getenv)\n→env.Required(\"TEXT\")\n", "missing environment variables: TEXT"},
	} {
		text := "PROBE" + rand.Text()
		before, err := os.ReadFile(filepath.Join(d.dir, tc.file))
		if err != nil {
			d.t.Fatal(err)
		}
		began := time.Now()
		d.edit(tc.file, tc.mark)(text)
		waitFor(d.t, tc.name+" in the log", deadline, func() error {
			if _, err := get(d.url("gateway") + "/livez"); err != nil {
				d.t.Fatalf("%s: the site is stopped: %v", tc.name, err)
			}
			log := d.log("gateway")
			if !strings.Contains(log, strings.ReplaceAll(tc.says, "TEXT", text)) || strings.Count(log, "it does not start") <= i {
				return fmt.Errorf("%.2000s", log[max(0, len(log)-2000):])
			}
			return nil
		})
		measured(d.t, "reload: "+tc.name+", to its message; the site goes on", time.Since(began))
		if err := os.WriteFile(filepath.Join(d.dir, tc.file), before, 0o644); err != nil {
			d.t.Fatal(err)
		}
		unchanged(tc.name + ", taken back")
	}
	bad := strings.Count(d.log("gateway"), "is not rebuilt")
	d.edit(main, "func main() { process.Main(run) }→ // TEXT")(rand.Text())
	unchanged("a comment")
	if now := d.starts(); now["gateway"] != starts["gateway"] {
		d.t.Errorf("the gateway has started %d times, want %d", now["gateway"], starts["gateway"])
	}
	if n := strings.Count(d.log("gateway"), "is not rebuilt"); n != bad {
		d.t.Errorf("good builds are called bad %d times", n-bad)
	}
}

// log is what a service has written.
func (d development) log(service string) string {
	d.t.Helper()
	return d.compose("logs", "--no-color", service)
}

// testUnreadable: sources that the container's user cannot read are named, with what helps.
func (d development) testUnreadable() {
	if err := os.Chmod(filepath.Join(d.dir, "history", "go.mod"), 0o600); err != nil {
		d.t.Fatal(err)
	}
	d.env = append(d.env, "DEV_USER=12345:12345") // not the owner of the sources
	began := time.Now()
	output, err := d.try("run", "--rm", "--no-deps", "-T", "caches")
	if err == nil || !strings.Contains(output, "./history/go.mod cannot be read as user 12345: put DEV_USER=") {
		d.t.Errorf("unreadable sources: %v\n%s", err, output)
	}
	measured(d.t, "unreadable sources, to the message that names DEV_USER", time.Since(began))
}

// testGoTest runs tests where the services are.
func (d development) testGoTest() {
	began := time.Now()
	d.compose("exec", "-T", "history", "go", "test", "-C", "history", "-run", "^TestDecode", ".")
	measured(d.t, "go test of a service in its container", time.Since(began))
}

func (d development) testChassis() {
	started := time.Now()
	d.edit("chassis/process/flags.go", "var Version = →\"edited \" + ")("")
	for _, service := range services {
		waitFor(d.t, service+" with the new chassis", deadline, func() error {
			return answers(d.url(service) + "/livez")("edited")
		})
	}
	measured(d.t, "reload: the chassis, all seven services", time.Since(started))
}

// testSecondStart has no source of modules, so it fails if anything is to be downloaded. It polls for changes, too.
func (d development) testSecondStart() {
	before, err := listed(d.url("gateway"))
	if err != nil {
		d.t.Fatal(err)
	}
	d.compose("down")
	d.env = append(d.env, "AIR_POLL=true")
	without := *d.project
	without.env = append(slices.Clone(d.env), "GOPROXY=off")
	started := time.Now()
	without.compose("up", "-d")
	after := waitListed(d.t, d.url("gateway"), len(before))
	measured(d.t, "development: second start", time.Since(started))
	if !slices.Equal(before, after) {
		d.t.Errorf("the videos were %v and are %v", before, after)
	}
	d.reload("Go, polling", d.edit("recommendations/service.go", route), answers(d.url("recommendations")+"/probe"))
}

// testDebug runs one service under the debugger, and alone again.
func (d development) testDebug() {
	with := *d.project
	started := time.Now()
	out, err := with.try("-f", "docker-compose.debug.yml", "up", "-d", "--no-deps", "history")
	if err != nil {
		d.t.Fatalf("%v\n%s", err, out)
	}
	waitFor(d.t, "history under the debugger", deadline, func() error { return answers(d.url("history") + "/livez")("alive") })
	measured(d.t, "development: one service again, under the debugger", time.Since(started))
	cmd := with.command("exec", "-T", "history", "dlv", "connect", "127.0.0.1:2345")
	cmd.Stdin = strings.NewReader("goroutines\nexit -c\n")
	if output, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(output), "flixtube/chassis") {
		d.t.Errorf("the debugger: %v\n%s", err, output)
	}
	if address := with.published()["history 2345/tcp"]; address != "127.0.0.1" {
		d.t.Errorf("the debugger is published at %q", address)
	}
	d.compose("stop", "history")
	if _, err := listed(d.url("gateway")); err != nil {
		d.t.Errorf("without history: %v", err)
	}
	d.compose("up", "-d", "--no-deps", "history")
	waitFor(d.t, "history again", deadline, func() error { return answers(d.url("history") + "/livez")("alive") })
	if ports := d.published()["history 2345/tcp"]; ports != "" {
		d.t.Errorf("the debugger's port is still published at %q", ports)
	}
}
