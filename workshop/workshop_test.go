//go:build unix

package workshop

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
)

var update = flag.Bool("update", false, "write the chapters' code and pictures again, from their texts")

func repository(t *testing.T) string {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	repository, err := Repository(here)
	if err != nil {
		t.Fatal(err)
	}
	return repository
}

// TestChapters does what each chapter says, and the page before them.
func TestChapters(t *testing.T) {
	if os.Getenv("WORKSHOP") == "" {
		t.Skip("the chapters use fixed ports and Docker, and take some 20 minutes: WORKSHOP=1 runs them")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) // a test that is cut off cleans up, too
	defer stop()
	repository := repository(t)
	chapters, err := Chapters(repository)
	if err != nil || len(chapters) == 0 {
		t.Fatalf("found %d chapters: %v", len(chapters), err)
	}
	for _, chapter := range append(chapters, Chapter{Dir: filepath.Join(repository, "workshop")}) {
		t.Run(filepath.Base(chapter.Dir), func(t *testing.T) {
			source, err := os.ReadFile(filepath.Join(chapter.Dir, "README.md"))
			if err != nil {
				t.Fatal(err)
			}
			steps, _, err := parse(source)
			if err != nil {
				t.Fatal(err)
			}
			reader, err := newReader(repository, chapter.Dir, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			reader.log, reader.update, reader.instead = t.Logf, *update, substitutions()
			equip(t, reader, steps)
			if err := reader.do(ctx, steps); err != nil {
				t.Fatalf("README.md: %v", err)
			}
			if chapter.Number > 0 {
				checkCode(t, reader.dir, chapter.Dir)
			}
		})
	}
}

// equip skips the test where the machine lacks something that the steps need.
func equip(t *testing.T, r *reader, steps []step) {
	t.Helper()
	var commands strings.Builder
	browser := false
	for _, s := range steps {
		if s.kind == "sh" || s.kind == "terminal" {
			commands.WriteString(s.text)
		}
		browser = browser || s.kind == "open"
	}
	for _, m := range regexp.MustCompile(`\bPORT=(\d+)|-p (\d+):`).FindAllStringSubmatch(commands.String(), -1) {
		port := m[1] + m[2]
		if conn, err := net.DialTimeout("tcp", "localhost:"+port, time.Second); err == nil {
			conn.Close()
			chassistest.Missing(t, "a free port "+port)
		}
	}
	if strings.Contains(commands.String(), "docker ") {
		docker(t, r, commands.String())
	}
	if strings.Contains(commands.String(), "kubectl ") {
		kubernetes(t, r)
	}
	if strings.Contains(commands.String(), "terraform ") {
		chassistest.Program(t, "terraform")
	}
	if strings.Contains(commands.String(), "-tags pact") || strings.Contains(commands.String(), "contracts.sh") {
		chassistest.Program(t, "gcc")
	}
	if browser {
		r.browser = newBrowser(t)
	}
}

// kubernetes also removes the namespace that a text which failed or was killed has left behind.
func kubernetes(t *testing.T, r *reader) {
	t.Helper()
	config := os.Getenv("KUBECONFIG")
	if config == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			t.Fatal(err)
		}
		config = filepath.Join(home, ".kube", "config") // the reader's home is another
	}
	r.env = append(r.env, "KUBECONFIG="+config)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if exec.CommandContext(ctx, "kubectl", "get", "nodes").Run() != nil {
		chassistest.Missing(t, "a Kubernetes cluster")
	}
	remove := func() {
		if err := exec.Command("kubectl", "delete", "namespace", "workshop", "--ignore-not-found").Run(); err != nil {
			t.Errorf("delete the namespace: %v", err)
		}
	}
	remove()
	t.Cleanup(remove)
}

// docker also removes what a text that failed or was killed has left behind: containers and images whose names
// begin with workshop, as all do here.
func docker(t *testing.T, r *reader, commands string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if exec.CommandContext(ctx, "docker", "info").Run() != nil {
		chassistest.Missing(t, "a Docker engine")
	}
	if strings.Contains(commands, "docker compose") && exec.CommandContext(ctx, "docker", "compose", "version").Run() != nil {
		chassistest.Missing(t, "Docker Compose v2")
	}
	dockerConfig(t, r)
	standIns(t, commands, "registry:3", "rabbitmq:4-management", "mongo:8", "golang:1.26-bookworm")
	r.env = append(r.env, builder(commands)...)
	remove := func() int {
		_ = exec.Command("docker", "compose", "-p", "workshop", "down", "-v", "--rmi", "local").Run() // without Compose there is nothing
		output, err := exec.Command("docker", "ps", "-aq", "--filter", "name=^workshop-").Output()
		left := strings.Fields(string(output))
		if err == nil && len(left) > 0 {
			err = exec.Command("docker", append([]string{"rm", "-f", "-v"}, left...)...).Run()
		}
		if err != nil {
			t.Errorf("remove the containers: %v", err)
		}
		output, err = exec.Command("docker", "images", "--format", "{{.Repository}}:{{.Tag}}", "workshop/*").Output()
		if images := strings.Fields(string(output)); err == nil && len(images) > 0 {
			err = exec.Command("docker", append([]string{"rmi", "-f"}, images...)...).Run()
		}
		if err != nil {
			t.Errorf("remove the images: %v", err)
		}
		return len(left)
	}
	remove()
	t.Cleanup(func() {
		if left := remove(); left > 0 {
			t.Errorf("the text leaves %d containers behind", left)
		}
	})
}

// dockerConfig lets the reader use the engine and the plugins of this machine, but not its logins.
func dockerConfig(t *testing.T, r *reader) {
	t.Helper()
	before := os.Getenv("DOCKER_CONFIG")
	if before == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			t.Fatal(err)
		}
		before = filepath.Join(home, ".docker")
	}
	config, err := json.Marshal(map[string]any{"cliPluginsExtraDirs": []string{filepath.Join(before, "cli-plugins")}})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(r.home, ".docker")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	host := os.Getenv("DOCKER_HOST")
	if host == "" {
		output, err := exec.Command("docker", "context", "inspect", "-f", "{{.Endpoints.docker.Host}}").Output()
		if err != nil {
			t.Fatalf("docker context inspect: %v", err)
		}
		host = strings.TrimSpace(string(output))
	}
	r.env = append(r.env, "DOCKER_CONFIG="+dir, "DOCKER_HOST="+host)
}

// checkCode compares the code that the reader has in the end with that in the chapter's folder, and has it checked.
func checkCode(t *testing.T, reader, chapter string) {
	t.Helper()
	files, err := Code(reader)
	if err != nil {
		t.Fatal(err)
	}
	committed, err := Code(chapter)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		for _, file := range committed {
			if err := os.Remove(filepath.Join(chapter, file)); err != nil {
				t.Fatal(err)
			}
		}
		for _, file := range files {
			if err := copyFile(filepath.Join(reader, file), filepath.Join(chapter, file)); err != nil {
				t.Fatal(err)
			}
		}
	} else if !slices.Equal(files, committed) {
		t.Errorf("the reader has the files %q, and the chapter's folder %q (-update writes it again)", files, committed)
	} else {
		for _, file := range files {
			got, err := os.ReadFile(filepath.Join(reader, file))
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(filepath.Join(chapter, file))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != string(want) {
				t.Errorf("%s differs from the reader's (-update writes it again)", file)
			}
		}
	}
	for _, args := range [][]string{{"go", "vet", "./..."}, {"gofmt", "-l", "."}, {"go", "mod", "tidy", "-diff"}} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir, cmd.Env = reader, append(os.Environ(), "GOWORK=off")
		if output, err := cmd.CombinedOutput(); err != nil || len(output) > 0 {
			t.Errorf("%q: %v\n%s", args, err, output)
		}
	}
}

// TestTranslations compares the code blocks and pictures of the Korean texts with those of the English ones.
func TestTranslations(t *testing.T) {
	for _, english := range texts(t) {
		korean := strings.TrimSuffix(english, "md") + "ko.md"
		if err := compareBlocks(english, korean); err != nil {
			t.Errorf("%s: %v", korean, err)
		}
	}
}

// TestLines finds what each link to a line of code names in that line. With -update it corrects the numbers.
func TestLines(t *testing.T) {
	link := regexp.MustCompile("\\[`([^`]+)`\\]\\(([^)#]+)#L(\\d+)\\)")
	found := 0
	for _, english := range texts(t) {
		for _, path := range []string{english, strings.TrimSuffix(english, "md") + "ko.md"} {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			corrected := string(text)
			for _, m := range link.FindAllStringSubmatch(string(text), -1) {
				found++
				code, err := os.ReadFile(filepath.Join(filepath.Dir(path), m[2]))
				if err != nil {
					t.Error(err)
					continue
				}
				lines := strings.Split(string(code), "\n")
				line := 1 + slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, m[1]) })
				if line == 0 {
					t.Errorf("%s: %q is not in %s", path, m[1], m[2])
				} else if at, _ := strconv.Atoi(m[3]); at != line && !*update {
					t.Errorf("%s: %q is in line %d of %s (go test ./workshop -run TestLines -update corrects it)", path, m[1], line, m[2])
				}
				corrected = strings.ReplaceAll(corrected, m[0], fmt.Sprintf("[`%s`](%s#L%d)", m[1], m[2], line))
			}
			if *update && corrected != string(text) {
				if err := os.WriteFile(path, []byte(corrected), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if found == 0 {
		t.Error("no text has a link to a line")
	}
}

// texts are the chapters' and that of the page before them.
func texts(t *testing.T) []string {
	t.Helper()
	chapters, err := Chapters(repository(t))
	if err != nil {
		t.Fatal(err)
	}
	found := []string{filepath.Join(repository(t), "workshop", "README.md")}
	for _, chapter := range chapters {
		found = append(found, filepath.Join(chapter.Dir, "README.md"))
	}
	return found
}

// TestErrors finds each error of the list in an output that a text shows, and so really came.
func TestErrors(t *testing.T) {
	var outputs strings.Builder
	var list []string
	for i, path := range texts(t) {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			_, section, _ := strings.Cut(string(source), "\n## Common errors\n")
			section, _, _ = strings.Cut(section, "\n## ")
			for _, m := range regexp.MustCompile("(?m)^\\| (`.+?) \\|").FindAllStringSubmatch(section, -1) {
				list = append(list, m[1])
			}
		}
		steps, _, err := parse(source)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range steps {
			if s.kind == "output" {
				outputs.WriteString(s.text)
			}
		}
	}
	if len(list) < 5 {
		t.Fatalf("found %d errors in the list", len(list))
	}
	for _, e := range list {
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(e, -1) {
			if !strings.Contains(outputs.String(), m[1]) {
				t.Errorf("no output shows %q", m[1])
			}
		}
	}
}
