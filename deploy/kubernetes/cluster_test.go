//go:build kubernetes

package kubernetes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// servers are the images of overlays/local that are not built here.
var servers = []string{"rabbitmq:4-management", "mongo:8", "mcr.microsoft.com/azure-storage/azurite:3.37.0"}

const (
	tag = "test"

	// timeout is for everything that is to happen, on a slow machine.
	timeout = 5 * time.Minute
)

// cluster is FlixTube in a namespace of its own.
type cluster struct {
	t         *testing.T
	namespace string // also the prefix of the images' names
	manifests string // a copy of this folder, with the overlay "test"
	site      string // the gateway's address
}

// newCluster builds and loads the images and prepares the overlay. At the test's end the namespace is deleted.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	namespace := os.Getenv("KUBERNETES")
	if namespace == "" {
		t.Fatal("KUBERNETES is missing: scripts/test-kubernetes runs this")
	}
	c := &cluster{t: t, namespace: namespace, manifests: copyManifests(t)}
	c.buildImages()
	c.writeOverlay()
	t.Cleanup(func() {
		c.t = t
		if t.Failed() {
			c.describe()
		}
		c.kubectl("delete", "namespace", c.namespace, "--ignore-not-found", "--timeout=5m")
	})
	return c
}

func (c *cluster) image(service string) string { return c.namespace + "/" + service + ":" + tag }

func (c *cluster) buildImages() {
	c.t.Helper()
	started := time.Now()
	build := exec.Command("docker", "compose", "-f", "docker-compose-prod.yml", "build")
	build.Dir = "../.."
	build.Env = append(os.Environ(), "REGISTRY="+c.namespace, "TAG="+tag)
	c.run(build)
	measured(c.t, "the seven images built, compiling what is not cached", time.Since(started))

	started = time.Now()
	images := slices.Clone(servers)
	for service := range workloads {
		images = append(images, c.image(service))
	}
	for _, server := range servers {
		if exec.Command("docker", "image", "inspect", server).Run() != nil {
			c.run(exec.Command("docker", "pull", "--quiet", server))
		}
		if label := c.standIn(server); label != "" {
			c.t.Logf("NOTE %s is a stand-in: %s", server, label)
		}
	}
	c.load(images...)
	measured(c.t, "images loaded into the cluster", time.Since(started))
}

// standIn says what an image stands in for, or "" if it is no stand-in.
func (c *cluster) standIn(image string) string {
	c.t.Helper()
	return c.run(exec.Command("docker", "image", "inspect", "-f", `{{index .Config.Labels "stand-in"}}`, image))
}

// load puts images of the Docker engine where the cluster's nodes find them.
func (c *cluster) load(images ...string) {
	c.t.Helper()
	words := strings.Fields(os.Getenv("LOAD_IMAGES"))
	if len(words) == 0 {
		c.t.Fatal("LOAD_IMAGES is missing: scripts/test-kubernetes says what it is")
	}
	c.run(exec.Command(words[0], append(words[1:], images...)...))
}

// writeOverlay adds the overlay "test": overlays/local with other images, another namespace, a port that the cluster
// chooses, and trust in the addresses that the load says it has.
func (c *cluster) writeOverlay() {
	c.t.Helper()
	c.makeSecrets()
	var images strings.Builder
	for service := range workloads {
		fmt.Fprintf(&images, "  - {name: flixtube/%s, newName: %s/%s, newTag: %s}\n", service, c.namespace, service, tag)
	}
	text := fmt.Sprintf(`apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: %s
resources: [../local]
images:
%spatches:
  - target: {kind: Service, name: gateway}
    patch: '[{"op": "remove", "path": "/spec/ports/0/nodePort"}]'
  - target: {kind: Deployment, name: gateway}
    patch: '[{"op": "add", "path": "/spec/template/spec/containers/0/env/-",
      "value": {"name": "TRUSTED_PROXIES", "value": "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"}}]'
`, c.namespace, images.String())
	dir := filepath.Join(c.manifests, "overlays/test")
	if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600)); err != nil {
		c.t.Fatal(err)
	}
}

// makeSecrets makes those of overlays/local. Where mongo:8 is a stand-in that knows no roles, the services log in as root.
func (c *cluster) makeSecrets() {
	c.t.Helper()
	secrets := filepath.Join(c.manifests, "overlays/local/secrets")
	makeSecrets(c.t, secrets)
	if c.standIn("mongo:8") == "" {
		return
	}
	c.t.Log("NOTE the users of MongoDB and their roles are not tried: all services log in as root")
	password, err := os.ReadFile(filepath.Join(secrets, "mongo-root-password"))
	for _, service := range []string{"metadata", "history", "recommendations"} {
		address := "mongodb://root:" + string(password) + "@db:27017/?authSource=admin"
		err = errors.Join(err, os.WriteFile(filepath.Join(secrets, "dbhost-"+service), []byte(address), 0o600))
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// apply applies the overlay and waits until everything is ready.
func (c *cluster) apply() {
	c.t.Helper()
	c.kubectl("create", "namespace", c.namespace) // a dry run needs it
	overlay := filepath.Join(c.manifests, "overlays/test")
	c.kubectl("apply", "-k", overlay, "--server-side", "--dry-run=server", "--validate=strict")
	started := time.Now()
	warnings := c.kubectl("apply", "-k", overlay, "--server-side", "--validate=strict")
	if strings.Contains(warnings, "Warning") {
		c.t.Errorf("kubectl apply warns:\n%s", warnings)
	}
	c.rolledOut()
	port := c.kubectl("get", "service", "gateway", "-o", "jsonpath={.spec.ports[0].nodePort}")
	address := c.kubectl("get", "nodes", "-o", `jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}`)
	c.site = "http://" + address + ":" + port
	waitFor(c.t, "the gateway", func() error { _, err := get(c.site + "/readyz"); return err })
	measured(c.t, "from apply to two ready pods of every service", time.Since(started))
}

// rolledOut waits until every workload is as its manifest says, with two pods or more of each service.
func (c *cluster) rolledOut() {
	c.t.Helper()
	for service, kind := range workloads {
		waitFor(c.t, "the autoscaler of "+service, func() error {
			if n := c.kubectl("get", kind, service, "-o", "jsonpath={.spec.replicas}"); n < "2" {
				return fmt.Errorf("%s pods are wanted", n)
			}
			return nil
		})
		c.kubectl("rollout", "status", kind+"/"+service, "--timeout=10m")
	}
	for _, server := range []string{"rabbit", "db", "azurite"} {
		c.kubectl("rollout", "status", "statefulset/"+server, "--timeout=10m")
	}
}

func (c *cluster) run(cmd *exec.Cmd) string {
	c.t.Helper()
	output, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Fatalf("%s: %v\n%s", cmd, err, output)
	}
	return strings.TrimSpace(string(output))
}

// try returns what kubectl wrote, to either output.
func (c *cluster) try(args ...string) (string, error) {
	output, err := exec.Command("kubectl", append([]string{"--namespace", c.namespace}, args...)...).CombinedOutput()
	return strings.TrimSpace(string(output)), err
}

func (c *cluster) kubectl(args ...string) string {
	c.t.Helper()
	output, err := c.try(args...)
	if err != nil {
		c.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, output)
	}
	return output
}

// raw decodes what the API server answers to a GET.
func (c *cluster) raw(path string, v any) error {
	var stderr bytes.Buffer
	cmd := exec.Command("kubectl", "get", "--raw", path)
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", path, err, stderr.String())
	}
	return json.Unmarshal(output, v)
}

// pod is what a pod tells, as far as it matters here.
type pod struct {
	Metadata struct {
		Name              string
		UID               string
		DeletionTimestamp string
		Labels            map[string]string
	}
	Spec struct {
		Volumes []struct {
			Name      string
			Projected struct {
				Sources []struct{ ServiceAccountToken *struct{} }
			}
		}
	}
	Status struct {
		Conditions        []struct{ Type, Status string }
		ContainerStatuses []struct {
			RestartCount int
			State        struct{ Waiting struct{ Reason string } }
		}
	}
}

func (p pod) service() string { return p.Metadata.Labels["app.kubernetes.io/name"] }

func (p pod) ready() bool {
	return p.Metadata.DeletionTimestamp == "" && slices.ContainsFunc(p.Status.Conditions,
		func(c struct{ Type, Status string }) bool { return c.Type == "Ready" && c.Status == "True" })
}

// pods returns those of one service, or of all services and servers if it is "".
func (c *cluster) pods(service string) []pod {
	c.t.Helper()
	var list struct{ Items []pod }
	path := "/api/v1/namespaces/" + c.namespace + "/pods"
	if service != "" {
		path += "?labelSelector=app.kubernetes.io/name%3D" + service
	}
	if err := c.raw(path, &list); err != nil {
		c.t.Fatal(err)
	}
	return list.Items
}

// noRestarts fails if a container was restarted within its pod.
func (c *cluster) noRestarts() {
	c.t.Helper()
	for _, p := range c.pods("") {
		for _, container := range p.Status.ContainerStatuses {
			if container.RestartCount > 0 {
				c.t.Errorf("%s was restarted %d times", p.Metadata.Name, container.RestartCount)
			}
		}
	}
}

// describe logs what helps to understand a failure.
func (c *cluster) describe() {
	for _, args := range [][]string{
		{"get", "pods", "-o", "wide"},
		{"get", "events", "--sort-by=.lastTimestamp"},
		{"logs", "--selector", "app.kubernetes.io/part-of=flixtube", "--prefix", "--tail=20", "--max-log-requests=50"},
	} {
		output, _ := c.try(args...)
		c.t.Logf("kubectl %s\n%.20000s", strings.Join(args, " "), output)
	}
}

// usage is what a pod has used until some time.
type usage struct {
	service string // or server
	cpu     time.Duration
	memory  int64 // bytes in the working set
	at      time.Time
}

// usages asks the kubelet, by the name of the pod, until it has looked at all of them after now.
func (c *cluster) usages() map[string]usage {
	c.t.Helper()
	now := time.Now()
	node := c.kubectl("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
	services := map[string]string{}
	for _, p := range c.pods("") {
		services[p.Metadata.Name] = p.service()
	}
	all := map[string]usage{}
	waitFor(c.t, "figures of all pods", func() error {
		var summary struct {
			Pods []struct {
				PodRef     struct{ Name, Namespace string }
				Containers []struct {
					CPU struct {
						Time                 time.Time
						UsageCoreNanoSeconds int64
					}
					Memory struct{ WorkingSetBytes int64 }
				}
			}
		}
		if err := c.raw("/api/v1/nodes/"+node+"/proxy/stats/summary", &summary); err != nil {
			return err
		}
		for _, p := range summary.Pods {
			if p.PodRef.Namespace != c.namespace || services[p.PodRef.Name] == "" || len(p.Containers) == 0 {
				continue
			}
			it := p.Containers[0]
			if !it.CPU.Time.After(now) {
				return fmt.Errorf("those of %s are from %v", p.PodRef.Name, it.CPU.Time)
			}
			all[p.PodRef.Name] = usage{
				services[p.PodRef.Name], time.Duration(it.CPU.UsageCoreNanoSeconds), it.Memory.WorkingSetBytes, it.CPU.Time,
			}
		}
		if len(all) < len(services) {
			return fmt.Errorf("there are those of %d pods of %d", len(all), len(services))
		}
		return nil
	})
	return all
}

// waitFor polls. It looks often, because some of what is waited for is measured.
func waitFor(t *testing.T, what string, try func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(timeout); time.Now().Before(deadline); time.Sleep(250 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	t.Fatalf("%s: still after %v: %v", what, timeout, err)
}

// measured prints a figure.
func measured(t *testing.T, what string, value any) {
	t.Helper()
	if d, ok := value.(time.Duration); ok {
		value = fmt.Sprintf("%.1f s", d.Seconds())
	}
	t.Logf("MEASURED %s: %v", what, value)
}
