package kubernetes

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/yannh/kubeconform/pkg/validator"
	"sigs.k8s.io/yaml"
)

// schemaSources are modules that publish the schemas of what the manifests hold, and the files in them.
var schemaSources = map[string][]string{
	"k8s.io/kubernetes@v1.36.0": {
		"api/openapi-spec/v3/api__v1_openapi.json", "api/openapi-spec/v3/apis__apps__v1_openapi.json",
		"api/openapi-spec/v3/apis__autoscaling__v2_openapi.json", "api/openapi-spec/v3/apis__policy__v1_openapi.json",
		"api/openapi-spec/v3/apis__networking.k8s.io__v1_openapi.json", "api/openapi-spec/v3/apis__storage.k8s.io__v1_openapi.json",
	},
	"github.com/kedacore/keda/v2@v2.20.0": {
		"config/crd/bases/keda.sh_scaledobjects.yaml", "config/crd/bases/keda.sh_triggerauthentications.yaml",
	},
	"github.com/mongodb/mongodb-kubernetes-operator@v0.9.0": {
		"config/crd/bases/mongodbcommunity.mongodb.com_mongodbcommunity.yaml",
	},
	"github.com/prometheus-operator/prometheus-operator@v0.85.0": {
		"example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
		"example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
	},
	"sigs.k8s.io/gateway-api@v1.5.1": {
		"config/crd/standard/gateway.networking.k8s.io_gateways.yaml", "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",
	},
}

// withoutSchema are kinds whose schema is in no module.
var withoutSchema = map[string]struct{}{"RabbitmqCluster": {}}

// TestSchemas holds the manifests to the schemas of Kubernetes and of the operators, in which a field that they do not know
// is an error.
func TestSchemas(t *testing.T) {
	dir := t.TempDir()
	for module, files := range schemaSources {
		folder := moduleFolder(t, module)
		for _, file := range files {
			writeSchemas(t, filepath.Join(folder, file), dir)
		}
	}
	check, err := validator.New([]string{dir + "/{{.Group}}_{{.ResourceAPIVersion}}_{{.ResourceKind}}.json"},
		validator.Opts{Strict: true, SkipKinds: withoutSchema})
	if err != nil {
		t.Fatal(err)
	}
	validate := func(manifests []byte) (valid int, wrong []string) {
		for _, r := range check.Validate("manifests", io.NopCloser(bytes.NewReader(manifests))) {
			switch r.Status {
			case validator.Valid:
				valid++
			case validator.Invalid, validator.Error:
				wrong = append(wrong, fmt.Sprintf("%.300s: %v", r.Resource.Bytes, r.Err))
			}
		}
		return valid, wrong
	}
	for _, overlay := range []string{"local", "azure"} {
		valid, wrong := validate(render(t, overlay))
		for _, w := range wrong {
			t.Errorf("overlays/%s: %s", overlay, w)
		}
		t.Logf("overlays/%s: %d objects are valid", overlay, valid)
	}
	azure := string(render(t, "azure"))
	for from, to := range map[string]string{
		"livenessProbe:":          "livenesProbe:",
		"maxUnavailable: 1":       "maxUnavailabl: 1",
		"minReplicaCount: 2":      "minReplicaCount: two",
		"gatewayClassName:":       "gatewayClass:",
		"members: 3":              "member: 3",
		"podMetricsEndpoints:":    "podMetricEndpoints:",
		"topologyKey: kubernetes": "topology: kubernetes",
	} {
		if _, wrong := validate([]byte(strings.Replace(azure, from, to, 1))); len(wrong) != 1 {
			t.Errorf("with %q %d objects are wrong: %s", to, len(wrong), wrong)
		}
	}
}

// moduleFolder returns where Go keeps a module's files. They are downloaded in CI alone.
func moduleFolder(t *testing.T, module string) string {
	t.Helper()
	cmd := exec.Command("go", "mod", "download", "-json", module)
	cmd.Dir, cmd.Env = t.TempDir(), append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	if os.Getenv("CI") == "" {
		cmd.Env = append(cmd.Env, "GOPROXY=off")
	}
	output, err := cmd.Output()
	var answer struct{ Dir string }
	if err == nil {
		err = json.Unmarshal(output, &answer)
	}
	if err != nil {
		missing(t, fmt.Sprintf("the module %s, which is downloaded with CI=true alone (%v: %s)", module, err, output))
	}
	return answer.Dir
}

// writeSchemas writes one JSON schema for each kind in a file that holds a CustomResourceDefinition, or OpenAPI as
// Kubernetes publishes it.
func writeSchemas(t *testing.T, file, dir string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var source schemaSource
	if err := yaml.Unmarshal(text, &source); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for name, schema := range source.schemas() {
		text, err := json.Marshal(schema)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".json"), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// schemaSource is a CustomResourceDefinition or an OpenAPI document.
type schemaSource struct {
	Spec struct {
		Group    string
		Names    struct{ Kind string }
		Versions []struct {
			Name   string
			Schema struct{ OpenAPIV3Schema any }
		}
	}
	Components struct{ Schemas map[string]map[string]any }
}

// schemas returns those of the kinds that s defines, by group, version and kind.
func (s schemaSource) schemas() map[string]any {
	all := map[string]any{}
	name := func(group, version, kind string) string {
		if group == "" {
			group = version // as kubeconform has it
		}
		return group + "_" + version + "_" + strings.ToLower(kind)
	}
	for _, version := range s.Spec.Versions {
		closeObjects(version.Schema.OpenAPIV3Schema)
		all[name(s.Spec.Group, version.Name, s.Spec.Names.Kind)] = version.Schema.OpenAPIV3Schema
	}
	for id, schema := range s.Components.Schemas {
		closeObjects(schema)
		kinds, _ := schema["x-kubernetes-group-version-kind"].([]any)
		if len(kinds) != 1 || strings.HasSuffix(id, "List") {
			continue // options of requests, which belong to every group
		}
		kind := kinds[0].(map[string]any)
		all[name(kind["group"].(string), kind["version"].(string), kind["kind"].(string))] = map[string]any{
			"$ref": "#/components/schemas/" + id, "components": map[string]any{"schemas": s.Components.Schemas},
		}
	}
	return all
}

// closeObjects makes fields errors that a schema does not name.
func closeObjects(schema any) {
	switch s := schema.(type) {
	case []any:
		for _, part := range s {
			closeObjects(part)
		}
	case map[string]any:
		if fields, ok := s["properties"].(map[string]any); ok && s["type"] == "object" {
			if _, open := s["x-kubernetes-preserve-unknown-fields"]; !open {
				s["additionalProperties"] = false
			}
			for field := range maps.Values(fields) {
				closeObjects(field)
			}
		}
		closeObjects(s["items"])
		if _, ok := s["additionalProperties"].(map[string]any); ok {
			closeObjects(s["additionalProperties"])
		}
	}
}
