//go:build pact

package pacttest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"flixtube/chassis/chassistest"
)

// standIn answers as the documentation of the Pact Broker's API says, as far as scripts/contracts uses it. The broker
// itself is a Ruby program that the tests do not install; the GitHub workflow runs it.
type standIn struct {
	t        *testing.T
	url      string
	mu       sync.Mutex
	pacts    map[string]json.RawMessage // by "consumer/provider"
	versions map[string]bool            // "service version branch"
	verified map[string]bool            // by "consumer/provider": the last result
	deployed map[string]bool            // "service environment"
}

const (
	user     = "ci"
	password = "a-secret-of-the-broker"
)

func newStandIn(t *testing.T) *standIn {
	t.Helper()
	b := &standIn{
		t: t, pacts: map[string]json.RawMessage{}, versions: map[string]bool{}, verified: map[string]bool{}, deployed: map[string]bool{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", b.index)
	mux.HandleFunc("POST /contracts/publish", b.publish)
	mux.HandleFunc("/pacts/provider/{provider}/for-verification", b.forVerification) // GET without selectors
	mux.HandleFunc("GET /pacts/{consumer}/{provider}", b.pact)
	mux.HandleFunc("POST /results/{consumer}/{provider}", b.result)
	mux.HandleFunc("GET /pacticipants/{service}", b.pacticipant)
	mux.HandleFunc("PUT /pacticipants/{service}/branches/{branch}/versions/{version}", b.version)
	mux.HandleFunc("GET /pacticipants/{service}/versions/{version}", b.environments)
	mux.HandleFunc("POST /deployed/{service}", b.deploy)
	mux.HandleFunc("GET /matrix", b.matrix)
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) {
		t.Errorf("the stand-in has no %s %s", req.Method, req.URL)
		http.NotFound(w, req)
	})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if name, secret, _ := req.BasicAuth(); name != user || secret != password {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		mux.ServeHTTP(w, req)
	}))
	b.url = "http://" + server.Listener.Addr().String()
	server.Start()
	t.Cleanup(server.Close)
	return b
}

type object = map[string]any

func (b *standIn) link(path string) object { return object{"href": b.url + path, "name": path} }

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/hal+json;charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (b *standIn) index(w http.ResponseWriter, _ *http.Request) {
	links := object{"self": b.link("/"), "pb:publish-contracts": b.link("/contracts/publish")}
	for name, path := range map[string]string{
		"pb:provider-pacts-for-verification": "/pacts/provider/{provider}/for-verification",
		"pb:pacticipant-branch-version":      "/pacticipants/{pacticipant}/branches/{branch}/versions/{version}",
		"pb:pacticipant-version":             "/pacticipants/{pacticipant}/versions/{version}",
	} {
		links[name] = object{"href": b.url + path, "templated": true}
	}
	answer(w, http.StatusOK, object{"_links": links})
}

func (b *standIn) publish(w http.ResponseWriter, req *http.Request) {
	var published struct {
		PacticipantName, PacticipantVersionNumber, Branch string
		Contracts                                         []struct{ ConsumerName, ProviderName, Content string }
	}
	if err := json.NewDecoder(req.Body).Decode(&published); err != nil {
		b.t.Error(err)
	}
	b.versions[published.PacticipantName+" "+published.PacticipantVersionNumber+" "+published.Branch] = true
	for _, c := range published.Contracts {
		content, err := base64.StdEncoding.DecodeString(c.Content)
		if err != nil {
			b.t.Error(err)
		}
		b.pacts[c.ConsumerName+"/"+c.ProviderName] = content
	}
	answer(w, http.StatusOK, object{
		"notices": []object{{"type": "success", "text": "published"}}, "_embedded": object{}, "_links": object{},
	})
}

func (b *standIn) forVerification(w http.ResponseWriter, req *http.Request) {
	pacts := []object{}
	for name := range b.pacts {
		if strings.HasSuffix(name, "/"+req.PathValue("provider")) {
			pacts = append(pacts, object{
				"shortDescription": "latest from main", "verificationProperties": object{"notices": []object{}},
				"_links": object{"self": b.link("/pacts/" + name)},
			})
		}
	}
	answer(w, http.StatusOK, object{"_embedded": object{"pacts": pacts}, "_links": object{"self": b.link(req.URL.Path)}})
}

func (b *standIn) pact(w http.ResponseWriter, req *http.Request) {
	name := req.PathValue("consumer") + "/" + req.PathValue("provider")
	var pact object
	if err := json.Unmarshal(b.pacts[name], &pact); err != nil {
		b.t.Error(err)
	}
	pact["_links"] = object{
		"self": b.link("/pacts/" + name), "pb:publish-verification-results": b.link("/results/" + name),
		"pb:provider": object{"href": b.url + "/pacticipants/" + req.PathValue("provider"), "name": req.PathValue("provider")},
	}
	answer(w, http.StatusOK, pact)
}

func (b *standIn) result(w http.ResponseWriter, req *http.Request) {
	var result struct {
		Success                    bool
		ProviderApplicationVersion string
	}
	if err := json.NewDecoder(req.Body).Decode(&result); err != nil || result.ProviderApplicationVersion != "v1" {
		b.t.Errorf("result %+v, %v", result, err)
	}
	b.verified[req.PathValue("consumer")+"/"+req.PathValue("provider")] = result.Success
	answer(w, http.StatusCreated, object{"_links": object{"self": b.link(req.URL.Path)}})
}

func (b *standIn) pacticipant(w http.ResponseWriter, req *http.Request) {
	self := "/pacticipants/" + req.PathValue("service")
	answer(w, http.StatusOK, object{"name": req.PathValue("service"), "_links": object{
		"self":              b.link(self),
		"pb:branch-version": object{"href": b.url + self + "/branches/{branch}/versions/{version}", "templated": true},
	}})
}

func (b *standIn) version(w http.ResponseWriter, req *http.Request) {
	b.versions[req.PathValue("service")+" "+req.PathValue("version")+" "+req.PathValue("branch")] = true
	answer(w, http.StatusOK, object{"_links": object{"self": b.link(req.URL.Path)}})
}

func (b *standIn) environments(w http.ResponseWriter, req *http.Request) {
	deploy := b.link("/deployed/" + req.PathValue("service"))
	deploy["name"] = "production"
	answer(w, http.StatusOK, object{"number": req.PathValue("version"), "_links": object{"pb:record-deployment": []object{deploy}}})
}

func (b *standIn) deploy(w http.ResponseWriter, req *http.Request) {
	b.deployed[req.PathValue("service")] = true
	answer(w, http.StatusCreated, object{"uuid": "1"})
}

// matrix allows a deployment if every pact between the service and one that is deployed is verified.
func (b *standIn) matrix(w http.ResponseWriter, req *http.Request) {
	service := req.URL.Query().Get("q[][pacticipant]")
	missing := []string{}
	for name := range b.pacts {
		consumer, provider, _ := strings.Cut(name, "/")
		if (consumer == service && b.deployed[provider] || provider == service && b.deployed[consumer]) && !b.verified[name] {
			missing = append(missing, name)
		}
	}
	reason := fmt.Sprintf("There is no verified pact between %v", missing)
	if len(missing) == 0 {
		reason = "All required verification results are published and successful"
	}
	answer(w, http.StatusOK, object{
		"summary": object{"deployable": len(missing) == 0, "reason": reason, "success": 0, "failed": 0, "unknown": len(missing)},
		"notices": []object{{"type": "info", "text": reason}}, "matrix": []object{},
	})
}

// TestPactScripts goes the way of a change with scripts/contracts: publish, verify, can-i-deploy, record-deployment.
func TestPactScripts(t *testing.T) {
	home := os.Getenv("PACT_HOME")
	if home == "" {
		home = "../../tools/pact/node_modules"
	}
	if _, err := os.Stat(filepath.Join(home, "@pact-foundation/pact-cli-linux-x64")); err != nil {
		chassistest.Missing(t, "the Pact client (scripts/contracts install)")
	}
	b := newStandIn(t)
	for _, step := range []struct {
		command string
		fails   bool
		says    string
	}{
		{"publish", false, ""},
		{"record-deployment gateway production", false, ""},
		{"can-i-deploy video-streaming production", true, "gateway/video-streaming"},
		{"verify video-streaming", false, ""},
		{"can-i-deploy video-streaming production", false, "All required verification results"},
		{"record-deployment video-streaming production", false, ""},
		{"record-deployment all production", false, ""},
		{"can-i-deploy nothing production", true, "there is no service nothing"},
		{"can-i-deploy gateway", true, "scripts/contracts can-i-deploy SERVICE|all ENVIRONMENT"},
	} {
		cmd := exec.Command("../../scripts/contracts", strings.Fields(step.command)...)
		cmd.Env = append(os.Environ(), "VERSION=v1", "BRANCH=main", "PACT_BROKER_BASE_URL="+b.url,
			"PACT_BROKER_USERNAME="+user, "PACT_BROKER_PASSWORD="+password)
		output, err := cmd.CombinedOutput()
		if (err != nil) != step.fails || !strings.Contains(string(output), step.says) {
			t.Errorf("%s: %v\n%s", step.command, err, output)
		}
		if strings.Contains(string(output), password) {
			t.Errorf("%s shows the password", step.command)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for what, got := range map[string]bool{
		"the pacts of the gateway":               b.versions["gateway v1 main"] && b.pacts["gateway/video-streaming"] != nil,
		"a message's pact":                       b.pacts["history/video-streaming"] != nil,
		"the verification of the gateway's pact": b.verified["gateway/video-streaming"],
		"the verification of a message's pact":   b.verified["history/video-streaming"],
		"the provider's branch":                  b.versions["video-streaming v1 main"],
		"the deployment of the provider":         b.deployed["video-streaming"],
	} {
		if !got {
			t.Errorf("the broker does not have %s", what)
		}
	}
}
