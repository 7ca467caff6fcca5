package containers

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func read(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(text), "\n")
}

// pinned images have a tag that begins with a number, perhaps a digest, and nothing computed about it but our own.
var (
	pinned = regexp.MustCompile(`^[a-z0-9./-]+:v?[0-9][A-Za-z0-9._-]*(@sha256:[0-9a-f]{64})?$`)
	ours   = regexp.MustCompile(`^(\$\{COMPOSE_PROJECT_NAME:-flixtube\}/dev:local|\$\{REGISTRY:-flixtube\}/[a-z-]+:\$\{TAG:-development\})$`)
)

// dockerfileFaults finds what hadolint does not.
func dockerfileFaults(lines []string) (faults []string) {
	user := ""
	for _, line := range lines {
		instruction, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch instruction {
		case "FROM":
			words := strings.Fields(rest)
			if strings.HasPrefix(words[0], "--platform=") {
				words = words[1:]
			}
			if words[0] != "scratch" && !pinned.MatchString(words[0]) {
				faults = append(faults, "not pinned: "+line)
			}
			user = ""
		case "USER":
			user = rest
		case "#":
			if strings.HasPrefix(rest, "syntax=") {
				faults = append(faults, "needs the network before it begins: "+line)
			}
		}
	}
	if !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(user) {
		faults = append(faults, "the last user is root, or may be: USER "+user)
	}
	return faults
}

var (
	port      = regexp.MustCompile(`"([^"]*:\d+)"`)
	forbidden = regexp.MustCompile(`privileged|docker\.sock|network_mode: host|pid: host|cap_add|unconfined|:latest`)
)

func composeFaults(lines []string, address *regexp.Regexp) (faults []string) {
	for _, line := range lines {
		if image, ok := strings.CutPrefix(strings.TrimSpace(line), "image: "); ok {
			image, _, _ = strings.Cut(image, " #")
			if !pinned.MatchString(image) && !ours.MatchString(image) {
				faults = append(faults, "not pinned: "+line)
			}
		}
		if strings.HasPrefix(strings.TrimSpace(line), "ports:") {
			found := port.FindAllStringSubmatch(line, -1)
			if len(found) == 0 {
				faults = append(faults, "ports that cannot be read: "+line)
			}
			for _, m := range found {
				if !address.MatchString(m[1]) {
					faults = append(faults, "published to anyone: "+line)
				}
			}
		}
		code, _, _ := strings.Cut(line, "#")
		code = strings.Replace(code, "cap_add: [NET_BIND_SERVICE]", "", 1) // Caddy has it
		if forbidden.MatchString(code) {
			faults = append(faults, "not contained: "+line)
		}
	}
	return faults
}

func TestFiles(t *testing.T) {
	for _, name := range []string{"Dockerfile-dev", "Dockerfile-prod"} {
		for _, fault := range dockerfileFaults(read(t, name)) {
			t.Errorf("%s: %s", name, fault)
		}
	}
	local := regexp.MustCompile(`^127\.0\.0\.1:`)
	for name, address := range map[string]*regexp.Regexp{
		"docker-compose.yml": local, "docker-compose.debug.yml": local,
		"docker-compose-prod.yml": regexp.MustCompile(`^\$\{(GATEWAY|TLS)_ADDRESS:-127\.0\.0\.1\}:`),
	} {
		for _, fault := range composeFaults(read(t, name), address) {
			t.Errorf("%s: %s", name, fault)
		}
	}
}

// TestProfiles: docker compose up starts the site and nothing else.
func TestProfiles(t *testing.T) {
	compose := strings.Join(read(t, "docker-compose.yml"), "\n")
	for _, service := range []string{"contracts", "contracts-db"} {
		_, definition, found := strings.Cut(compose, "\n  "+service+":\n    image: ")
		_, definition, _ = strings.Cut(definition, "\n")
		if !found || !strings.HasPrefix(definition, "    profiles: [contracts]\n") {
			t.Errorf("docker compose up would start %s", service)
		}
	}
}

func TestFaultsAreFound(t *testing.T) {
	for _, tc := range []struct{ dockerfile, want string }{
		{"FROM golang\nUSER 1:1", "not pinned"},
		{"FROM golang:latest\nUSER 1:1", "not pinned"},
		{"FROM golang:1.26\nUSER 1:1\nFROM scratch", "root"},
		{"FROM golang:1.26\nUSER 0:0", "root"},
		{"FROM golang:bookworm\nUSER 1:1", "not pinned"},
		{"FROM golang:1.26@sha256:0123\nUSER 1:1", "not pinned"},
		{"# syntax=docker/dockerfile:1\nFROM golang:1.26\nUSER 1:1", "network"},
	} {
		faults := dockerfileFaults(strings.Split(tc.dockerfile, "\n"))
		if len(faults) != 1 || !strings.Contains(faults[0], tc.want) {
			t.Errorf("%q: %q", tc.dockerfile, faults)
		}
	}
	digest := "@sha256:" + strings.Repeat("0123abcd", 8) // as a bot may add it
	if faults := dockerfileFaults([]string{"FROM golang:1.26" + digest, "USER 1:1"}); len(faults) != 0 {
		t.Errorf("%q", faults)
	}
	for _, tc := range []struct{ line, want string }{
		{"    image: mongo", "not pinned"},
		{"    image: mongo:latest # the newest", "not pinned"},
		{`    ports: ["4000:80"]`, "anyone"},
		{`    ports: ["127.0.0.1:4000:80", "0.0.0.0:4001:80"]`, "anyone"},
		{"    ports:", "cannot be read"},
		{"    privileged: true", "not contained"},
		{"    volumes: [/var/run/docker.sock:/x]", "not contained"},
	} {
		faults := composeFaults([]string{tc.line}, regexp.MustCompile(`^127\.0\.0\.1:`))
		if len(faults) == 0 || !strings.Contains(faults[0], tc.want) {
			t.Errorf("%q: %q", tc.line, faults)
		}
	}
}
