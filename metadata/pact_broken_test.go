//go:build pact

package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/messaging"
	"flixtube/contracts/pacttest"
)

// fault is a change that breaks a consumer: old becomes new in each answer and message, and status becomes another one.
type fault struct {
	old, new            string
	status, otherStatus int
	want                []string // of the verifier: the consumer, the field and the reason
}

func (f fault) replace(body string) string {
	if f.old == "" {
		return body
	}
	return strings.ReplaceAll(body, f.old, f.new)
}

var faults = map[string]fault{
	"field renamed": {
		old: `"name":`, new: `"title":`,
		want: []string{"gateway", "$.videos[0]", "name"},
	},
	"field missing": {
		old: `"owner":"Vb7Q0cJX1m2hN4tYkqZ8sL5rWfPe3aUd",`, new: ``,
		want: []string{"gateway", "$.video", "owner"},
	},
	"id renamed": {
		old: `"_id":`, new: `"id":`,
		want: []string{"recommendations", "video-storage", "$.videos[0]", "_id"},
	},
	"another type": {
		old: `"duration":61.5`, new: `"duration":"61.5"`,
		want: []string{"gateway", "$.video.duration", "to be the same type"},
	},
	"another status": {
		status: http.StatusNoContent, otherStatus: http.StatusAccepted,
		want: []string{"gateway", "the owner removes a video", "204", "202"},
	},
	"another error code": {
		old: `"code":"video_not_found"`, new: `"code":"no_video"`,
		want: []string{"gateway", "$.code", "video_not_found", "no_video"},
	},
	"message without its field": {
		old: `,"video":{"id":"v1"}`, new: ``,
		want: []string{"history", "recommendations", "video-storage", "video-removed", "$", "video"},
	},
	"message with another type": {
		old: `"video":{"id":"v1"}`, new: `"video":{"id":1}`,
		want: []string{"history", "video-removed", "$.video.id"},
	},
}

// broken is how TestPactProvider is told to have one of the faults.
const broken = "METADATA_PACT_FAULT"

// withFault returns instance with the fault that the environment names, if there is one.
func withFault(instance pacttest.Instance) pacttest.Instance {
	fault, ok := faults[os.Getenv(broken)] //nolint:forbidigo // no getenv is given here
	if !ok {
		return instance
	}
	whole := instance.Handler
	instance.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		res := httptest.NewRecorder()
		whole.ServeHTTP(res, req)
		for name, values := range res.Header() {
			w.Header()[name] = values
		}
		if res.Code == fault.status {
			res.Code = fault.otherStatus
		}
		w.WriteHeader(res.Code)
		_, _ = w.Write([]byte(fault.replace(res.Body.String())))
	})
	removed := instance.Messages["video-removed"]
	instance.Messages["video-removed"] = func() (messaging.Message, error) {
		m, err := removed()
		m.Body = []byte(fault.replace(string(m.Body)))
		return m, err
	}
	return instance
}

// TestPactFaults runs the provider's test with each fault. It must fail, and say whom the fault breaks, and how.
func TestPactFaults(t *testing.T) {
	database := chassistest.Mongo(t)
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPactProvider$")
			cmd.Env = append(os.Environ(), broken+"="+name, "TEST_MONGODB="+database)
			output, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatal("the provider passes its test")
			}
			for _, words := range fault.want {
				if !strings.Contains(string(output), words) {
					t.Errorf("the test does not name %s", words)
				}
			}
			if t.Failed() {
				t.Logf("%s", output)
			}
		})
	}
}
