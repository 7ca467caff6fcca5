//go:build pact

package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/pact-foundation/pact-go/v2/message"
	"github.com/pact-foundation/pact-go/v2/models"
	"github.com/pact-foundation/pact-go/v2/provider"
)

func TestContracts(t *testing.T) {
	watch := func([]models.ProviderState) (message.Body, message.Metadata, error) {
		return viewing(t), message.Metadata{"contentType": "application/json"}, nil
	}
	err := provider.NewVerifier().VerifyProvider(t, provider.VerifyRequest{
		Provider:        "video-streaming",
		PactDirs:        []string{"../pacts"},
		MessageHandlers: message.Handlers{"viewed": watch},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// viewing watches a video, and returns the message about it.
func viewing(t *testing.T) json.RawMessage {
	t.Helper()
	box, err := openOutbox(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	request := httptest.NewRequest(http.MethodGet, "/video?id=mandelbrot", nil)
	if err := (service{box}).count(&http.Response{StatusCode: http.StatusOK, Request: request}); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(box.dir, "*.json"))
	if err != nil || len(names) != 1 {
		t.Fatalf("the outbox has %d messages (%v)", len(names), err)
	}
	body, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	return body
}
