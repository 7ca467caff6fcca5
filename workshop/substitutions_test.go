//go:build unix

package workshop

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// substitution is a command that is run in another way than the text says, where this machine cannot do what the text says.
type substitution struct{ command, instead, because string }

// substitutions returns those that this machine needs. Whether a chapter passes there says nothing about the commands.
func substitutions() []substitution {
	var all []substitution
	if load := os.Getenv("LOAD_IMAGES"); load != "" {
		all = append(all, substitution{
			"kind load docker-image", load, "LOAD_IMAGES names the command of this cluster",
		})
	}
	if home := os.Getenv("PACT_HOME"); home != "" {
		all = append(all, substitution{
			`go run github.com/pact-foundation/pact-go/v2@v2.7.0 install --libDir "$PWD/lib"`,
			"cp " + filepath.Join(home, "@pact-foundation/pact-core-linux-x64-glibc/prebuilds/linux-x64/libpact_ffi.so") + " lib/",
			"PACT_HOME names the npm packages with the same library; pact-go downloads it from GitHub",
		})
	}
	return all
}

func (r *reader) substitute(commands string) string {
	for _, s := range r.instead {
		if strings.Contains(commands, s.command) {
			r.log("instead of %q: %q (%s)", s.command, s.instead, s.because)
			commands = strings.ReplaceAll(commands, s.command, s.instead)
		}
	}
	return commands
}

// builder is the environment for a Docker without buildx, which Debian packages apart: the builder in Compose, and the old
// one of the engine.
func builder(commands string) []string {
	if exec.Command("docker", "buildx", "version").Run() == nil {
		return nil
	}
	env := []string{"COMPOSE_BAKE=false"}
	if strings.Contains(commands, "docker build ") {
		env = append(env, "DOCKER_BUILDKIT=0")
	}
	return env
}

// builderWarning is what Compose says there.
var builderWarning = regexp.MustCompile(`(?m)^time=.* level=warning msg="COMPOSE_BAKE=false is deprecated.*\n`)

// registryDockerfile is the same program by Debian, for machines that cannot pull the image.
const registryDockerfile = `FROM debian:bookworm-slim
LABEL stand-in="docker-registry of Debian"
RUN apt-get update && apt-get install -y --no-install-recommends docker-registry && rm -rf /var/lib/apt/lists/*
RUN printf 'version: 0.1\nstorage: {filesystem: {rootdirectory: /var/lib/registry}}\nhttp: {addr: ":5000"}\n' >/config.yml
EXPOSE 5000
CMD ["docker-registry", "serve", "/config.yml"]
`

// standIns says which images of the commands are not what they are called, and builds the registry's where it must.
func standIns(t *testing.T, commands string, images ...string) {
	t.Helper()
	for _, image := range images {
		if !strings.Contains(commands, image) {
			continue
		}
		if exec.Command("docker", "image", "inspect", image).Run() != nil && exec.Command("docker", "pull", "-q", image).Run() != nil &&
			image == "registry:3" {
			build := exec.Command("docker", "build", "-q", "-t", image, "-")
			build.Env = append(os.Environ(), builder("docker build ")...)
			build.Stdin = strings.NewReader(registryDockerfile)
			if output, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%s cannot be pulled, and its stand-in not built: %v\n%s", image, err, output)
			}
		}
		label, err := exec.Command("docker", "image", "inspect", "-f", `{{index .Config.Labels "stand-in"}}`, image).Output()
		if l := strings.TrimSpace(string(label)); err == nil && l != "" && l != "<no value>" {
			t.Logf("STAND-IN for %s: %s", image, l)
		}
	}
}
