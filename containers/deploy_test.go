package containers

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// deployment runs scripts/deploy with testdata/fake in the place of the programs that it calls. Its overlay is empty.
type deployment struct {
	*testing.T
	dir, fake string
}

func newDeployment(t *testing.T, files map[string]string) deployment {
	t.Helper()
	d := deployment{t, t.TempDir(), t.TempDir()}
	program, err := filepath.Abs("testdata/fake")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("../scripts/deploy")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"scripts/deploy": string(script), "deploy/kubernetes/overlays/local/make-secrets": "#!/bin/sh\n",
	} {
		path := filepath.Join(d.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(d.fake, "bin"), 0o750); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kubectl", "docker", "kind", "curl", "smoke"} {
		if err := os.Symlink(program, filepath.Join(d.fake, "bin", name)); err != nil {
			t.Fatal(err)
		}
	}
	d.write("server", "https://127.0.0.1:6443")
	for name, text := range files {
		d.write(name, text)
	}
	return d
}

func (d deployment) write(name, text string) {
	d.Helper()
	if err := os.WriteFile(filepath.Join(d.fake, name), []byte(text), 0o600); err != nil {
		d.Fatal(err)
	}
}

// run returns what scripts/deploy wrote, the calls that changed the cluster, and how it ended.
func (d deployment) run(smoke string) (output string, changes []string, err error) {
	d.Helper()
	cmd := exec.Command("scripts/deploy", "local")
	cmd.Dir = d.dir
	cmd.Env = append(os.Environ(), "FAKE="+d.fake, "SMOKE="+smoke, "PATH="+filepath.Join(d.fake, "bin")+":"+os.Getenv("PATH"))
	text, err := cmd.CombinedOutput()
	calls, readErr := os.ReadFile(filepath.Join(d.fake, "calls"))
	if readErr != nil {
		d.Fatal(readErr)
	}
	for call := range strings.Lines(string(calls)) {
		call = strings.TrimPrefix(strings.TrimSpace(call), "kubectl --namespace flixtube ")
		if strings.HasPrefix(call, "kubectl apply ") {
			call = "apply"
		}
		if call == "apply" || strings.HasPrefix(call, "rollout undo ") || strings.HasPrefix(call, "delete ") {
			changes = append(changes, call)
		}
	}
	return string(text), changes, err
}

func TestDeploy(t *testing.T) {
	const (
		before = "Deployment/gateway 7\nDeployment/history 3\nStatefulSet/video-upload upload-a\n"
		after  = "Deployment/gateway 8\nDeployment/history 3\nStatefulSet/video-upload upload-b\n"
	)
	undone := []string{
		"apply", "rollout undo Deployment/gateway", "rollout undo StatefulSet/video-upload",
		"delete pods -l controller-revision-hash=upload-b --wait=false",
	}
	for _, tc := range []struct {
		name, smoke string
		files       map[string]string
		says        string
		changes     []string
		fails       bool
	}{
		{
			name: "it works", smoke: "smoke", files: map[string]string{"revisions": before, "next": after},
			says: "FlixTube is ready at http://127.0.0.1:30080", changes: []string{"apply"},
		},
		{
			name: "the first time", smoke: "smoke", files: map[string]string{"next": after},
			says: "FlixTube is ready at", changes: []string{"apply"},
		},
		{
			name: "pods do not start", smoke: "smoke", fails: true,
			files: map[string]string{"revisions": before, "next": after, "stuck": "StatefulSet/video-upload upload-b\n"},
			says:  "what was there before runs again", changes: undone,
		},
		{
			name: "the site does not work", smoke: "false", fails: true,
			files: map[string]string{"revisions": before, "next": after},
			says:  "what was there before runs again", changes: undone,
		},
		{
			name: "nothing has changed, and the site does not work", smoke: "false", fails: true,
			files: map[string]string{"revisions": before, "next": before},
			says:  "what was there before runs again", changes: []string{"apply"},
		},
		{
			name: "the first time does not work", smoke: "false", fails: true, files: map[string]string{"next": after},
			says: "there was nothing before", changes: []string{"apply"},
		},
		{
			name: "a new service does not start", smoke: "smoke", fails: true,
			files: map[string]string{"revisions": "Deployment/gateway 7\n", "next": "Deployment/gateway 7\nDeployment/new 1\n", "stuck": "Deployment/new 1\n"},
			says:  "Deployment/new is new", changes: []string{"apply"},
		},
		{
			name: "a cluster somewhere else", smoke: "smoke", fails: true,
			files: map[string]string{"server": "https://flixtube-production-1a2b.hcp.westeurope.azmk8s.io:443"},
			says:  "is not on this machine",
		},
		{
			name: "a cluster somewhere else whose name begins like an address", smoke: "smoke", fails: true,
			files: map[string]string{"server": "https://10.example.com:443"}, says: "is not on this machine",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			output, changes, err := newDeployment(t, tc.files).run(tc.smoke)
			if (err != nil) != tc.fails || !strings.Contains(output, tc.says) {
				t.Errorf("deploy: %v, want an error: %v, and %q in\n%s", err, tc.fails, tc.says, output)
			}
			if !slices.Equal(changes, tc.changes) {
				t.Errorf("the cluster is changed by\n  %s\nwant\n  %s", strings.Join(changes, "\n  "), strings.Join(tc.changes, "\n  "))
			}
		})
	}
}
