package kubernetes

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// workloads maps each service to what runs it.
var workloads = map[string]string{
	"gateway": "deployment", "video-storage": "deployment", "metadata": "deployment", "history": "deployment",
	"recommendations": "deployment", "video-streaming": "statefulset", "video-upload": "statefulset",
}

// manifestFiles hides the secrets of the developer who runs the test.
type manifestFiles struct{ fs.FS }

func (f manifestFiles) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(f.FS, name)
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return e.Name() == "secrets" }), err
}

// copyManifests returns a folder that is a copy of this one.
func copyManifests(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, manifestFiles{os.DirFS(".")}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// object is what the checks look at in any object.
type object struct {
	Kind     string
	Metadata struct {
		Name, Namespace string
		Labels          map[string]string
	}
	Spec struct {
		Type           string
		Replicas       *int
		ScaleTargetRef struct{ Name string }
		Selector       struct{ MatchLabels map[string]string }
		Template       struct {
			Metadata struct{ Labels map[string]string }
			Spec     podSpec
		}
		PodSelector     selector
		PolicyTypes     []string
		Ingress, Egress []rule
	}
}

type podSpec struct {
	AutomountServiceAccountToken, EnableServiceLinks *bool
	TerminationGracePeriodSeconds                    int
	SecurityContext                                  struct {
		RunAsNonRoot   bool
		RunAsUser      int
		SeccompProfile struct{ Type string }
	}
	TopologySpreadConstraints []struct{ TopologyKey string }
	Containers                []container
}

type container struct {
	Name, Image     string
	SecurityContext struct {
		AllowPrivilegeEscalation *bool
		ReadOnlyRootFilesystem   bool
		Capabilities             struct{ Add, Drop []string }
	}
	Resources struct {
		Requests, Limits struct{ CPU, Memory string }
	}
	Env []struct {
		Name, Value string
		ValueFrom   struct {
			SecretKeyRef    struct{ Name string }
			ConfigMapKeyRef struct{ Name string }
		}
	}
	StartupProbe, LivenessProbe, ReadinessProbe *probe
	Lifecycle                                   struct {
		PreStop struct{ Sleep struct{ Seconds int } }
	}
}

type probe struct {
	HTTPGet struct{ Path string }
}

// render returns what kubectl apply -k would send for an overlay.
func render(t *testing.T, overlay string) []byte {
	t.Helper()
	dir := copyManifests(t)
	if overlay == "local" {
		makeSecrets(t, filepath.Join(dir, "overlays/local/secrets"))
	}
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(dir, "overlays", overlay))
	if err != nil {
		t.Fatal(err)
	}
	text, err := resources.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// missing skips the test because the machine lacks something; under CI=true it fails it.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing, and under CI=true nothing may be", what)
	}
	t.Skipf("%s is missing on this machine", what)
}

// program returns the path of a program.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, name)
	}
	return path
}

// secretsScript is the script make-secrets of an overlay.
func secretsScript(t *testing.T, overlay string, args ...string) *exec.Cmd {
	t.Helper()
	program(t, "openssl")
	return exec.Command(program(t, "bash"), append([]string{"overlays/" + overlay + "/make-secrets"}, args...)...)
}

func makeSecrets(t *testing.T, folder string) {
	t.Helper()
	if output, err := secretsScript(t, "local", folder).CombinedOutput(); err != nil {
		t.Fatalf("make-secrets: %v\n%s", err, output)
	}
}

func decode(t *testing.T, manifests []byte) (objects []object) {
	t.Helper()
	for text := range strings.SplitSeq(string(manifests), "\n---\n") {
		var o object
		if err := yaml.Unmarshal([]byte(text), &o); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		objects = append(objects, o)
	}
	return objects
}

var (
	secret = regexp.MustCompile(`PASSWORD|KEY|SECRET|TOKEN|RABBIT$|DBHOST`)
	pinned = regexp.MustCompile(`:(v?[0-9][A-Za-z0-9._-]*|development)$|@sha256:[0-9a-f]{64}$`)
	suffix = regexp.MustCompile(`-[a-z0-9]{10}$`) // kustomize's hash of a secret's content
	noText = regexp.MustCompile(`^$|\$\(`)        // a value that is made of others, which come from secrets
)

const (
	drainSeconds      = 8 // chassis: the requests in flight
	backgroundSeconds = 5 // and then what runs in the background
)

// faults returns what a reviewer would not let pass.
func faults(objects []object) (found []string) {
	guarded, scaled := map[string]bool{}, map[string]bool{}
	for _, o := range objects {
		switch o.Kind {
		case "PodDisruptionBudget":
			guarded[o.Spec.Selector.MatchLabels["app.kubernetes.io/name"]] = true
		case "HorizontalPodAutoscaler", "ScaledObject":
			if scaled[o.Spec.ScaleTargetRef.Name] {
				found = append(found, o.Spec.ScaleTargetRef.Name+" has two autoscalers")
			}
			scaled[o.Spec.ScaleTargetRef.Name] = true
		}
	}
	seen := map[string]bool{}
	for _, o := range objects {
		name := o.Metadata.Name
		fault := func(format string, args ...any) {
			found = append(found, fmt.Sprintf("%s %s: ", o.Kind, name)+fmt.Sprintf(format, args...))
		}
		switch o.Kind {
		case "Namespace":
			if o.Metadata.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
				fault("Pod Security is not restricted")
			}
		case "StorageClass":
		default:
			if o.Metadata.Namespace != "flixtube" {
				fault("it is in the namespace %q", o.Metadata.Namespace)
			}
		}
		switch o.Kind {
		case "ConfigMap":
			if o.Metadata.Name != "ingress" { // which no pod reads
				fault("settings are variables, and secrets are secrets")
			}
		case "Service":
			if name != "gateway" && o.Spec.Type != "" && o.Spec.Type != "ClusterIP" {
				fault("only the gateway is exposed")
			}
		case "Deployment", "StatefulSet":
			found = append(found, podFaults(o)...)
			if workloads[name] == "" {
				continue
			}
			seen[name] = true
			if o.Spec.Replicas != nil {
				fault("its replicas are its autoscaler's")
			}
			if !guarded[name] || !scaled[name] {
				fault("it needs a PodDisruptionBudget and an autoscaler")
			}
			found = append(found, serviceFaults(o)...)
		}
	}
	if len(seen) != len(workloads) {
		found = append(found, fmt.Sprintf("of the services there are only %v", seen))
	}
	return found
}

// podFaults are those of any pod, ours or a server's.
func podFaults(o object) (found []string) {
	pod := o.Spec.Template.Spec
	check := func(ok bool, what string) {
		if !ok {
			found = append(found, fmt.Sprintf("%s %s: %s", o.Kind, o.Metadata.Name, what))
		}
	}
	check(pod.AutomountServiceAccountToken != nil && !*pod.AutomountServiceAccountToken, "it gets a token of the cluster")
	check(pod.EnableServiceLinks != nil && !*pod.EnableServiceLinks, "it gets variables of other services")
	check(pod.SecurityContext.RunAsNonRoot && pod.SecurityContext.RunAsUser > 0, "it may run as root")
	check(pod.SecurityContext.SeccompProfile.Type == "RuntimeDefault", "it has no seccomp profile")
	check(len(pod.Containers) == 1, "it has not one container")
	for _, c := range pod.Containers {
		s := c.SecurityContext
		check(s.AllowPrivilegeEscalation != nil && !*s.AllowPrivilegeEscalation, "it may gain privileges")
		check(s.ReadOnlyRootFilesystem, "its root can be written")
		check(slices.Equal(s.Capabilities.Drop, []string{"ALL"}) && len(s.Capabilities.Add) == 0, "it has capabilities")
		r := c.Resources
		check(r.Requests.CPU != "" && r.Requests.Memory != "" && r.Limits.CPU != "" && r.Limits.Memory != "", "its resources are not bounded")
		check(pinned.MatchString(c.Image), "its image is not pinned: "+c.Image)
		check(c.StartupProbe != nil && c.ReadinessProbe != nil, "a probe is missing")
		for _, e := range c.Env {
			check(!secret.MatchString(e.Name) || noText.MatchString(e.Value), e.Name+" is not from a secret")
			check(e.ValueFrom.ConfigMapKeyRef.Name == "", e.Name+" is from a ConfigMap")
		}
	}
	return found
}

// serviceFaults are those that only our services have.
func serviceFaults(o object) (found []string) {
	pod := o.Spec.Template.Spec
	check := func(ok bool, what string) {
		if !ok {
			found = append(found, fmt.Sprintf("%s %s: %s", o.Kind, o.Metadata.Name, what))
		}
	}
	check(len(pod.TopologySpreadConstraints) == 2, "its pods may all be on one node, or in one zone")
	for _, c := range pod.Containers {
		for _, e := range c.Env {
			own := map[string]string{"RABBIT": "rabbit-" + o.Metadata.Name, "DBHOST": o.Metadata.Name + "-db"}[e.Name]
			check(suffix.ReplaceAllString(e.ValueFrom.SecretKeyRef.Name, "") == own || own == "", e.Name+" is not its own user's")
		}
		path := func(p *probe) string {
			if p == nil {
				return ""
			}
			return p.HTTPGet.Path
		}
		check(path(c.StartupProbe) == "/livez" && path(c.LivenessProbe) == "/livez", "an outage of others would restart it")
		check(path(c.ReadinessProbe) == "/readyz", "it would get requests that it cannot answer")
		sleep := c.Lifecycle.PreStop.Sleep.Seconds
		check(sleep > 0, "it stops while requests are still sent to it")
		check(sleep+drainSeconds+backgroundSeconds < pod.TerminationGracePeriodSeconds, "it is killed before it has stopped")
	}
	return found
}

func TestManifests(t *testing.T) {
	for _, overlay := range []string{"local", "azure"} {
		for _, fault := range faults(decode(t, render(t, overlay))) {
			t.Errorf("overlays/%s: %s", overlay, fault)
		}
	}
}

func TestFaultsAreFound(t *testing.T) {
	manifests := string(render(t, "local"))
	for _, tc := range []struct{ from, to, want string }{
		{"runAsUser: 65532", "runAsUser: 0", "root"},
		{"runAsNonRoot: true", "runAsNonRoot: false", "root"},
		{"type: RuntimeDefault", "type: Unconfined", "seccomp"},
		{"allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "privileges"},
		{"readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "written"},
		{"            - ALL\n", "            - NET_RAW\n", "capabilities"},
		{"            memory: 256Mi\n", "", "bounded"},
		{"automountServiceAccountToken: false", "automountServiceAccountToken: true", "token"},
		{"enableServiceLinks: false", "enableServiceLinks: true", "variables"},
		{"gateway:development", "gateway:latest", "pinned"},
		{"path: /readyz", "path: /livez", "cannot answer"},
		{"path: /livez", "path: /readyz", "restart"},
		{"              seconds: 5\n", "              seconds: 0\n", "still sent"},
		{"terminationGracePeriodSeconds: 30", "terminationGracePeriodSeconds: 15", "killed"},
		{"pod-security.kubernetes.io/enforce: restricted", "pod-security.kubernetes.io/enforce: baseline", "Pod Security"},
		{"  type: NodePort", "  type: ClusterIP\n---\nkind: Service\nmetadata: {name: db, namespace: flixtube}\nspec: {type: NodePort}", "exposed"},
		{"kind: PodDisruptionBudget", "kind: Other", "PodDisruptionBudget"},
		{"- name: RABBIT\n          valueFrom:", "- name: RABBIT\n          value: amqp://a:b@rabbit:5672\n          valueFrom:", "secret"},
		{"key: address\n              name: rabbit-history-", "key: address\n              name: rabbit-metadata-", "RABBIT is not its own"},
		{"connectionString.standard\n              name: history-db", "connectionString.standard\n              name: metadata-db", "DBHOST is not its own"},
		{"kind: Secret", "kind: ConfigMap", "secrets are secrets"},
		{"  progressDeadlineSeconds: 180", "  replicas: 2\n  progressDeadlineSeconds: 180", "autoscaler"},
		{"topologyKey: topology.kubernetes.io/zone", "topologyKey: topology.kubernetes.io/zone\n      - topologyKey: other", "zone"},
		{"  namespace: flixtube\n", "  namespace: default\n", "namespace"},
		{"flixtube/history", "flixtube/other", ""},
	} {
		if !strings.Contains(manifests, tc.from) {
			t.Errorf("there is no %q", tc.from)
		}
		found := faults(decode(t, []byte(strings.Replace(manifests, tc.from, tc.to, 1))))
		if tc.want == "" && len(found) > 0 || tc.want != "" && !slices.ContainsFunc(found, func(s string) bool { return strings.Contains(s, tc.want) }) {
			t.Errorf("with %q: %q", tc.to, found)
		}
	}
}
