//go:build containers

package containers

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// The registry of the distribution project, and an account there.
const (
	registryModule = "github.com/distribution/distribution/v3/cmd/registry@v3.1.2"
	account        = "publisher"
	password       = "a password for this test"
	passwordHash   = "$2a$04$o76vnjmf8116PJEa.Tnx5ObYMf0t6M/1DcYzC4Gp/1tI1xBqQbHCS" // bcrypt
)

// startRegistry returns the address of a registry that wants a login.
func startRegistry(t *testing.T) string {
	t.Helper()
	dir, port := t.TempDir(), strconv.Itoa(freePorts(t)*10)
	install := exec.Command("go", "install", registryModule)
	install.Env = append(os.Environ(), "GOBIN="+dir, "GOWORK=off", "CGO_ENABLED=0")
	if output, err := install.CombinedOutput(); err != nil {
		t.Fatalf("go install %s: %v\n%s", registryModule, err, output)
	}
	files := map[string]string{
		"users": account + ":" + passwordHash + "\n",
		"config.yml": fmt.Sprintf(`version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: %s/data}}
http: {addr: "127.0.0.1:%s"}
auth: {htpasswd: {realm: test, path: %s/users}}
`, dir, port, dir),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	registry := exec.Command(filepath.Join(dir, "registry"), "serve", filepath.Join(dir, "config.yml"))
	registry.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	if err := registry.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = registry.Process.Kill()
		_ = registry.Wait() // killed, so it says so
	})
	address := "127.0.0.1:" + port
	waitFor(t, "the registry", deadline, func() error {
		_, err := get("http://" + account + ":" + strings.ReplaceAll(password, " ", "%20") + "@" + address + "/v2/")
		return err
	})
	return address
}

// newConfig makes Docker use a folder of settings of its own, so that no login of this machine changes. The engine and
// the plugins stay those that are used otherwise.
func newConfig(t *testing.T) string {
	t.Helper()
	before, config := os.Getenv("DOCKER_CONFIG"), t.TempDir()
	if before == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			t.Fatal(err)
		}
		before = filepath.Join(home, ".docker")
	}
	text, err := json.Marshal(map[string]any{"cliPluginsExtraDirs": []string{filepath.Join(before, "cli-plugins")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(config, "config.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Getenv("DOCKER_HOST") == "" {
		t.Setenv("DOCKER_HOST", docker(t, "context", "inspect", "-f", "{{.Endpoints.docker.Host}}"))
	}
	t.Setenv("DOCKER_CONFIG", config)
	if exec.Command("docker", "buildx", "version").Run() != nil {
		t.Log("NOTE without buildx, images are published for this machine's platform alone")
	}
	return config
}

// TestPublishing pushes the images to a registry, deletes those that are here, and gets them back from there.
func TestPublishing(t *testing.T) {
	name, dir := prefix(t), copySources(t)
	config := newConfig(t)
	registry := startRegistry(t) + "/" + name
	publish := func(env []string, args ...string) (string, error) {
		cmd := exec.Command("scripts/publish-images", args...)
		cmd.Dir, cmd.Env = dir, append(settings(env...), "DOCKER_CONFIG="+config)
		output, err := cmd.CombinedOutput()
		return string(output), err
	}
	git := func(args ...string) string {
		cmd := exec.Command("git", append([]string{
			"-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false",
		}, args...)...)
		cmd.Dir = dir
		output, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, output)
		}
		return strings.TrimSpace(string(output))
	}
	git("init", "-q")
	git("remote", "add", "origin", "https://user:secret@example.com/flixtube.git")
	git("add", "-A")
	git("commit", "-q", "-m", "everything")
	const tag = "v0.0.0-published"

	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{registry}, "usage"},
		{[]string{registry, "latest"}, "name a version"},
		{[]string{registry, "a tag"}, "is not a tag"},
		{[]string{"--push", tag}, "is not the name of a registry"},
	} {
		if output, err := publish(nil, tc.args...); err == nil || !strings.Contains(output, tc.want) {
			t.Errorf("publish-images %q: %v\n%s", tc.args, err, output)
		}
	}
	dirt := filepath.Join(dir, "gateway", "dirt.go")
	if err := os.WriteFile(dirt, []byte("package main\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := publish(nil, registry, tag); err == nil || !strings.Contains(output, "uncommitted") {
		t.Errorf("a dirty tree is published: %v\n%s", err, output)
	}
	if err := os.Remove(dirt); err != nil {
		t.Fatal(err)
	}
	if output, err := publish([]string{"REGISTRY_USER=" + account, "REGISTRY_PASSWORD=wrong"}, registry, tag); err == nil {
		t.Errorf("a wrong password is taken:\n%s", output)
	}

	image := func(service string) string { return registry + "/" + service + ":" + tag }
	t.Cleanup(func() {
		for _, service := range services {
			_ = exec.Command("docker", "rmi", "-f", image(service)).Run() // if it is there
		}
	})
	login := []string{"REGISTRY_USER=" + account, "REGISTRY_PASSWORD=" + password}
	if output, err := publish(login, registry, tag); err != nil {
		t.Fatalf("publish-images: %v\n%s", err, output)
	}
	again, err := publish(login, registry, tag)
	if err != nil || strings.Count(again, "is there already, of this commit") != len(services) {
		t.Errorf("published again: %v\n%s", err, again)
	}
	testPublished(t, dir, registry, again)
	git("commit", "-q", "--allow-empty", "-m", "another commit")
	if output, err := publish(login, registry, tag); err == nil || !strings.Contains(output, "is there already, of "+git("rev-parse", "HEAD~1")) {
		t.Errorf("a tag gets another content: %v\n%s", err, output)
	}
	git("reset", "-q", "--soft", "HEAD~1")
	for _, service := range services { // with buildx they never were here
		_ = exec.Command("docker", "rmi", "-f", image(service)).Run()
	}
	if output, err := exec.Command("docker", "pull", image("gateway")).CombinedOutput(); err == nil {
		t.Errorf("the login stayed:\n%s", output)
	}
	in := exec.Command("docker", "login", "--username", account, "--password-stdin", strings.Split(registry, "/")[0])
	in.Stdin = strings.NewReader(password)
	if output, err := in.CombinedOutput(); err != nil {
		t.Fatalf("docker login: %v\n%s", err, output)
	}
	for _, service := range services {
		docker(t, "pull", "-q", image(service))
		if version := docker(t, "run", "--rm", image(service), "-version"); version != service+" "+tag {
			t.Errorf("%s says %q", service, version)
		}
		labels := docker(t, "inspect", "-f", "{{json .Config.Labels}}", image(service))
		if !strings.Contains(labels, git("rev-parse", "HEAD")) || !strings.Contains(labels, `"https://example.com/flixtube.git"`) {
			t.Errorf("%s has the labels %s", service, labels)
		}
	}
	measured(t, "images pushed, deleted here and pulled again", len(services))
}

// testPublished looks for the digests in what publish-images writes, and for what the images consist of.
func testPublished(t *testing.T, dir, registry, output string) {
	t.Helper()
	listed := 0
	for _, service := range services {
		if !strings.Contains(output, registry+"/"+service+"@sha256:") {
			t.Errorf("there is no digest of %s:\n%s", service, output)
		}
		text, err := os.ReadFile(filepath.Join(dir, "bin", "sbom", service+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var sbom struct {
			BOMFormat  string `json:"bomFormat"`
			Components []struct{ Name, Version, PURL string }
		}
		if err := json.Unmarshal(text, &sbom); err != nil || sbom.BOMFormat != "CycloneDX" || len(sbom.Components) < 5 {
			t.Errorf("%s consists of %+v, %v", service, sbom, err)
		}
		for _, c := range sbom.Components {
			if c.Version == "" || c.PURL != "pkg:golang/"+c.Name+"@"+c.Version {
				t.Errorf("%s has %+v", service, c)
			}
		}
		listed += len(sbom.Components)
		testProvenance(t, dir, registry, service, output)
	}
	measured(t, "modules listed in the images", listed)
}

// testProvenance: the statement is about the digest that was printed, and names the commit.
func testProvenance(t *testing.T, dir, registry, service, output string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "bin", "provenance", service+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var statement struct {
		Type    string `json:"_type"`
		Subject []struct {
			Name   string
			Digest map[string]string
		}
		PredicateType string
		Predicate     struct {
			BuildDefinition struct {
				BuildType            string
				ExternalParameters   map[string]string
				ResolvedDependencies []struct {
					URI    string
					Digest map[string]string
				}
			}
			RunDetails struct{ Builder struct{ ID string } }
		}
	}
	if err := json.Unmarshal(text, &statement); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	head, err := exec.Command("git", "-C", dir, "rev-parse", "HEAD").Output()
	if err != nil {
		t.Fatal(err)
	}
	build := statement.Predicate.BuildDefinition
	if len(statement.Subject) != 1 || len(build.ResolvedDependencies) != 1 ||
		!strings.Contains(output, statement.Subject[0].Name+"@sha256:"+statement.Subject[0].Digest["sha256"]+"\n") ||
		statement.Subject[0].Name != registry+"/"+service || build.ExternalParameters["SERVICE"] != service ||
		build.ResolvedDependencies[0].URI != "git+https://example.com/flixtube.git" ||
		build.ResolvedDependencies[0].Digest["gitCommit"] != strings.TrimSpace(string(head)) ||
		!strings.HasPrefix(statement.Predicate.RunDetails.Builder.ID, "https://") || build.BuildType == "" ||
		statement.Type != "https://in-toto.io/Statement/v1" || statement.PredicateType != "https://slsa.dev/provenance/v1" {
		t.Errorf("the provenance of %s: %s", service, text)
	}
}
