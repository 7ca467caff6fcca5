//go:build containers

package containers

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestUpgradeWithoutRegistry: scripts/upgrade does not pull flixtube/NAME, which without a registry would be Docker Hub's.
func TestUpgradeWithoutRegistry(t *testing.T) {
	const docker = `#!/bin/sh
case "$*" in
"compose ps -q "*) echo id ;;
"inspect "*) echo flixtube/video-storage:v1 ;;
"image inspect "*) exit 1 ;;
*) echo "docker $*" ;;
esac
`
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "docker"), []byte(docker), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("../scripts/upgrade", "v2")
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	output, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(output), "flixtube/video-storage:v2 is not here") || strings.Contains(string(output), "docker pull") {
		t.Errorf("an image that is not here: %v\n%s", err, output)
	}
}
