//go:build pact

package pacttest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pact-foundation/pact-go/v2/message"
	"github.com/pact-foundation/pact-go/v2/models"
	"github.com/pact-foundation/pact-go/v2/provider"

	"flixtube/chassis/messaging"
)

// Params are those of a State.
type Params map[string]any

// String returns a parameter that is a string, or "".
func (p Params) String(name string) string { s, _ := p[name].(string); return s }

// Strings returns a parameter that is a list of strings.
func (p Params) Strings(name string) []string {
	var all []string
	list, _ := p[name].([]any)
	for _, s := range list {
		all = append(all, fmt.Sprint(s))
	}
	return all
}

// Instance is a provider without data.
type Instance struct {
	Handler http.Handler
	// States make the data of a State. A consumer may name no other.
	States map[string]func(Params) error
	// Messages make a message by its description, as the service would in this state.
	Messages map[string]func() (messaging.Message, error)
}

// Verify replays what every consumer of the service name needs. start makes an Instance for each request and message. The
// pacts are those in the repository; if PACT_BROKER_BASE_URL is set, those that the broker says matter for this version
// (PACT_PROVIDER_VERSION, PACT_PROVIDER_BRANCH), and the broker receives the results.
func Verify(t *testing.T, name string, start func() Instance) {
	t.Helper()
	var current atomic.Pointer[Instance]
	fresh := start()
	current.Store(&fresh)
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+statePath, func(w http.ResponseWriter, req *http.Request) {
		if err := setUp(req, start, &current); err != nil {
			t.Errorf("%s: %v", name, err)
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) { current.Load().Handler.ServeHTTP(w, req) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)

	request := provider.VerifyRequest{
		Provider: name, ProviderBaseURL: server.URL, ProviderStatesSetupURL: server.URL + statePath,
		MessageHandlers: message.Handlers{}, DisableColoredOutput: true, FailIfNoPactsFound: true,
		RequestTimeout: time.Minute, // a state may start the servers, and make a dead letter
	}
	for description := range fresh.Messages {
		request.MessageHandlers[description] = func([]models.ProviderState) (message.Body, message.Metadata, error) {
			m, err := current.Load().Messages[description]()
			metadata := message.Metadata{"contentType": "application/json"}
			for name, value := range m.Headers {
				metadata[name] = value
			}
			return m.Body, metadata, err
		}
	}
	if err := choosePacts(&request); err != nil {
		t.Fatal(err)
	}
	_ = provider.NewVerifier().VerifyProvider(t, request) // has failed the test
}

const statePath = "/_pact/state"

// setUp answers the verifier before each request and message.
func setUp(req *http.Request, start func() Instance, current *atomic.Pointer[Instance]) error {
	var change struct {
		Action, State string
		Params        Params
	}
	if err := json.NewDecoder(req.Body).Decode(&change); err != nil {
		return err
	}
	if change.Action != "setup" {
		return nil
	}
	instance := start()
	fill, known := instance.States[change.State]
	if !known && change.State != "" {
		return fmt.Errorf("a consumer needs the state %q, which this provider's test does not know", change.State)
	}
	if known {
		if err := fill(change.Params); err != nil {
			return fmt.Errorf("state %q: %w", change.State, err)
		}
	}
	current.Store(&instance)
	return nil
}

func choosePacts(request *provider.VerifyRequest) error {
	request.BrokerURL = os.Getenv("PACT_BROKER_BASE_URL")
	if request.BrokerURL == "" {
		var err error
		request.PactFiles, err = filepath.Glob(filepath.Join(folder(), "*", "*-"+request.Provider+".json"))
		if err == nil && len(request.PactFiles) == 0 {
			err = errors.New("no consumer has a pact with " + request.Provider)
		}
		return err
	}
	request.ProviderVersion = os.Getenv("PACT_PROVIDER_VERSION")
	request.ProviderBranch = os.Getenv("PACT_PROVIDER_BRANCH")
	request.PublishVerificationResults = true
	request.ConsumerVersionSelectors = []provider.Selector{
		&provider.ConsumerVersionSelector{MainBranch: true},
		&provider.ConsumerVersionSelector{MatchingBranch: true},
		&provider.ConsumerVersionSelector{DeployedOrReleased: true},
	}
	return nil
}
