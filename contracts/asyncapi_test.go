package contracts_test

import (
	"bytes"
	"maps"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"flixtube/contracts"
)

// asyncAPI is the document, and the parts of it that the tests compare with the code.
type asyncAPI struct {
	whole any
	parts struct {
		Channels map[string]struct {
			Messages map[string]any
			Bindings struct {
				AMQP struct {
					Is       string
					Exchange struct {
						Name, Type string
						Durable    bool
					}
					Queue struct {
						Name    string
						Durable bool
					}
				}
			}
		}
		Operations map[string]struct {
			Action  string
			Channel struct {
				Ref string `yaml:"$ref"`
			}
		}
		Components struct {
			Messages map[string]any
		}
	}
}

func readAsyncAPI(t *testing.T) (api asyncAPI) {
	t.Helper()
	document, err := os.ReadFile("asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, into := range []any{&api.whole, &api.parts} {
		if err := yaml.Unmarshal(document, into); err != nil {
			t.Fatal(err)
		}
	}
	return api
}

// TestAsyncAPITopology: the document has the exchanges and queues of the code, each with its message, and no others.
func TestAsyncAPITopology(t *testing.T) {
	api := readAsyncAPI(t)
	exchanges, queues := map[string]string{}, map[string]string{} // the message of each
	for name, channel := range api.parts.Channels {
		messages := slices.Collect(maps.Keys(channel.Messages))
		if len(messages) != 1 {
			t.Fatalf("%s has %d messages", name, len(messages))
		}
		switch amqp := channel.Bindings.AMQP; {
		case amqp.Is == "routingKey" && amqp.Exchange.Type == "fanout" && amqp.Exchange.Durable:
			exchanges[amqp.Exchange.Name] = messages[0]
		case amqp.Is == "queue" && amqp.Queue.Durable:
			queues[amqp.Queue.Name] = messages[0]
		default:
			t.Errorf("%s is neither a durable fanout exchange nor a durable queue", name)
		}
	}
	wantExchanges, wantQueues := map[string]string{}, map[string]string{}
	for _, fact := range contracts.Facts() {
		wantExchanges[fact.Name] = fact.Name
	}
	for _, queue := range contracts.Queues() {
		wantQueues[queue.Name] = queue.Exchange
	}
	wantQueues[contracts.ViewedQueue.Name] = contracts.Viewed.Name
	if !maps.Equal(exchanges, wantExchanges) {
		t.Errorf("exchanges %v, want %v", exchanges, wantExchanges)
	}
	if !maps.Equal(queues, wantQueues) {
		t.Errorf("queues %v, want %v", queues, wantQueues)
	}
	used := map[string]bool{}
	for name, operation := range api.parts.Operations {
		if operation.Action != "send" && operation.Action != "receive" {
			t.Errorf("%s: action %q", name, operation.Action)
		}
		used[operation.Channel.Ref] = true
	}
	for name := range api.parts.Channels {
		if !used["#/channels/"+name] {
			t.Errorf("nobody uses %s", name)
		}
		delete(used, "#/channels/"+name)
	}
	if len(used) > 0 {
		t.Errorf("operations use channels that are not there: %v", used)
	}
}

// TestAsyncAPISchemas: the samples, which the encoders of the services are tested with, are valid; they have all fields
// of the schemas and no others.
func TestAsyncAPISchemas(t *testing.T) {
	api := readAsyncAPI(t)
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("asyncapi.yaml", api.whole); err != nil {
		t.Fatal(err)
	}
	samples := map[string]string{"viewed-minimal": contracts.Viewed.Name}
	for _, fact := range contracts.Facts() {
		samples[fact.Name] = fact.Name
	}
	for name := range api.parts.Components.Messages {
		if samples[name] == "" {
			t.Errorf("no service sends the message %s", name)
		}
	}
	for name, message := range samples {
		schema, err := compiler.Compile("asyncapi.yaml#/components/messages/" + message + "/payload")
		if err != nil {
			t.Fatal(err)
		}
		sample, err := contracts.Sample(name)
		if err != nil {
			t.Fatal(err)
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(sample))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(value); err != nil {
			t.Errorf("sample %s: %v", name, err)
		}
		if got, want := schemaFields("", schema), valueFields("", value); name == message && !reflect.DeepEqual(got, want) {
			t.Errorf("fields of the schema of %s: %v, of the sample: %v", message, got, want)
		}
		if err := schema.Validate(map[string]any{"video": map[string]any{"id": 1}}); err == nil {
			t.Errorf("%s: the schema accepts an id that is a number", message)
		}
	}
}

func schemaFields(path string, s *jsonschema.Schema) (fields []string) {
	for s.Ref != nil {
		s = s.Ref
	}
	if len(s.Properties) == 0 {
		return []string{path}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		fields = append(fields, schemaFields(path+"/"+name, s.Properties[name])...)
	}
	return fields
}

func valueFields(path string, value any) (fields []string) {
	object, ok := value.(map[string]any)
	if !ok {
		return []string{path}
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		fields = append(fields, valueFields(path+"/"+name, object[name])...)
	}
	return fields
}
