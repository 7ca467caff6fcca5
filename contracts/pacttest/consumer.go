//go:build pact

package pacttest

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pact-foundation/pact-go/v2/consumer"
	"github.com/pact-foundation/pact-go/v2/matchers"
	message "github.com/pact-foundation/pact-go/v2/message/v4"
	"github.com/pact-foundation/pact-go/v2/models"

	"flixtube/chassis/messaging"
)

// folder has the pacts, one folder for each consumer. Tests run in the folder of their package.
func folder() string {
	const pacts = "contracts/pacts"
	if path := filepath.Join("..", pacts); isFolder(path) {
		return path
	}
	return filepath.Join("..", "..", pacts)
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// Matcher says which values a consumer can use.
type Matcher = matchers.Matcher

// State is what the provider has before it answers. The values of Params are those that the answer depends on.
type State struct {
	Name   string
	Params map[string]any
}

// Exchange is one request of the consumer, and what it reads of the answer. Values in bodies and headers may be matchers
// of pact-go.
type Exchange struct {
	Description string
	Given       State

	Method, Path string
	Query        url.Values
	Numbers      []string // the parameters of Query for which any number will do
	Headers      map[string]Matcher
	Body         any    // as JSON
	RawBody      string // of the type in Headers

	Status        int
	AnswerHeaders map[string]Matcher
	Answer        any    // as JSON
	RawAnswer     string // of the type in AnswerHeaders
}

// Message is a message, and what the consumer reads of it.
type Message struct {
	Description string
	Given       State
	Metadata    map[string]string
	Body        any // as JSON
}

// Consumer records what one service needs of another.
type Consumer struct {
	t              *testing.T
	name, provider string
	dir            string
}

// NewConsumer begins a pact. At the end of the test the pact must be the one in the repository, unless PACT_UPDATE is set:
// then it replaces that one.
func NewConsumer(t *testing.T, name, provider string) *Consumer {
	t.Helper()
	c := &Consumer{t, name, provider, t.TempDir()}
	t.Cleanup(func() {
		if !t.Failed() {
			c.compare()
		}
	})
	return c
}

// Exchange has call talk to a server that answers like e. The test fails if the request is another one, or call fails.
func (c *Consumer) Exchange(e Exchange, call func(base *url.URL) error) {
	c.t.Helper()
	c.t.Run(c.provider+": "+e.Description, func(t *testing.T) {
		mock, err := consumer.NewV4Pact(consumer.MockHTTPProviderConfig{
			Consumer: c.name, Provider: c.provider, PactDir: c.dir, LogDir: t.TempDir(),
		})
		if err != nil {
			t.Fatal(err)
		}
		err = mock.AddInteraction().
			GivenWithParameter(models.ProviderState{Name: e.Given.Name, Parameters: e.Given.Params}).
			UponReceiving(e.Description).
			WithRequest(consumer.Method(e.Method), e.Path, e.request).
			WillRespondWith(e.Status, e.answer).
			ExecuteTest(t, func(server consumer.MockServerConfig) error {
				return call(&url.URL{Scheme: "http", Host: fmt.Sprintf("%s:%d", server.Host, server.Port)})
			})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func (e Exchange) request(b *consumer.V4RequestBuilder) {
	for name, values := range e.Query {
		all := make([]Matcher, len(values))
		for i, value := range values {
			all[i] = matchers.S(value)
			if slices.Contains(e.Numbers, name) {
				all[i] = matchers.Regex(value, `^\d+$`)
			}
		}
		b.Query(name, all...)
	}
	for name, value := range e.Headers {
		b.Header(name, value)
	}
	if e.Body != nil {
		b.JSONBody(e.Body)
	}
	if e.RawBody != "" {
		e.rawBody(b)
	}
}

// rawBody distinguishes bytes from text, which pact-go hands to C as a string.
func (e Exchange) rawBody(b *consumer.V4RequestBuilder) {
	contentType := fmt.Sprint(e.Headers["Content-Type"].GetValue())
	if contentType == "application/octet-stream" {
		b.BinaryBody([]byte(e.RawBody))
		return
	}
	b.Body(contentType, []byte(e.RawBody))
}

func (e Exchange) answer(b *consumer.V4ResponseBuilder) {
	for name, value := range e.AnswerHeaders {
		b.Header(name, value)
	}
	if e.Answer != nil {
		b.JSONBody(e.Answer)
	}
	if e.RawAnswer != "" {
		b.Body(fmt.Sprint(e.AnswerHeaders["Content-Type"].GetValue()), []byte(e.RawAnswer))
	}
}

// Message has handle work on a message that has what m says and nothing else.
func (c *Consumer) Message(m Message, handle func(messaging.Message) error) {
	c.t.Helper()
	c.t.Run(c.provider+": "+m.Description, func(t *testing.T) {
		pact, err := message.NewAsynchronousPact(message.Config{Consumer: c.name, Provider: c.provider, PactDir: c.dir})
		if err != nil {
			t.Fatal(err)
		}
		metadata := map[string]string{"contentType": "application/json"}
		for name, value := range m.Metadata {
			metadata[name] = value
		}
		err = pact.AddAsynchronousMessage().
			GivenWithParameter(models.ProviderState{Name: m.Given.Name, Parameters: m.Given.Params}).
			ExpectsToReceive(m.Description).
			WithMetadata(metadata).
			WithJSONContent(m.Body).
			ConsumedBy(func(received message.AsynchronousMessage) error {
				return handle(messaging.Message{Body: received.Contents, Headers: m.Metadata})
			}).
			Verify(t)
		if err != nil {
			t.Fatal(err)
		}
	})
}

func (c *Consumer) compare() {
	c.t.Helper()
	name := c.name + "-" + c.provider + ".json"
	got, err := os.ReadFile(filepath.Join(c.dir, name))
	if err != nil {
		c.t.Fatal(err)
	}
	target := filepath.Join(folder(), c.name, name)
	if os.Getenv("PACT_UPDATE") != "" {
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			c.t.Fatal(err)
		}
		if err := os.WriteFile(target, got, 0o644); err != nil { //nolint:gosec // part of the repository
			c.t.Fatal(err)
		}
		return
	}
	if want, err := os.ReadFile(target); err != nil || !bytes.Equal(got, want) {
		c.t.Errorf("%s needs something else of %s than %s says (%v). If that is meant, run scripts/contracts update and commit the file.\n%s",
			c.name, c.provider, target, err, got)
	}
}

// AnyString matches every string; example stands in the pact, as with the others.
func AnyString(example string) Matcher { return matchers.Like(example) }

// AnyNumber matches every number.
func AnyNumber(example float64) Matcher { return matchers.Like(example) }

// AnyBool matches true and false.
func AnyBool(example bool) Matcher { return matchers.Like(example) }

// AnyInteger matches every number without a fraction.
func AnyInteger(example int) Matcher { return matchers.Integer(example) }

// True matches true and nothing else.
func True() Matcher { return matchers.Equality(true) }

// Exactly matches text and nothing else.
func Exactly(text string) Matcher { return matchers.S(text) }

// Each matches a list of at least one element, which all match.
func Each(element any) Matcher { return matchers.EachLike(element, 1) }

// Matching matches by a regular expression.
func Matching(example, expression string) Matcher { return matchers.Regex(example, expression) }

// AnyTime matches a time that Go's JSON decoder reads (RFC 3339).
func AnyTime(example string) Matcher {
	return matchers.Regex(example, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$`)
}

// Error is the part of an error that programs read.
func Error(code string) map[string]any { return map[string]any{"code": code} }

// JSON are the headers of an answer in JSON.
func JSON() map[string]Matcher {
	return map[string]Matcher{"Content-Type": matchers.Regex("application/json", `^application/json(;.*)?$`)}
}
