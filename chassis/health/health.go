// Package health says whether a service can do its work: the dependencies that GET /readyz reports.
package health

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"sync"
	"time"

	"flixtube/chassis/httpclient"
)

// Check is one dependency as /readyz reports it. Without one that is Required the service cannot do its work and answers
// 503; the others are only named.
type Check struct {
	Name     string // of the service, as in video-storage; or "broker", "database", "store", "queue <name>"
	Required bool
	Public   bool // the error of Probe holds no secret, and the answer shows it
	Probe    func(context.Context) error
}

// Service checks the service called name, which is at base, by its /livez.
func Service(name string, client *http.Client, base *url.URL) Check {
	return Check{Name: name, Probe: func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath("livez").String(), nil)
		if err != nil {
			return err
		}
		return httpclient.GetJSON(client, req, &struct{}{})
	}}
}

// Require returns c as a dependency without which the service cannot do its work.
func (c Check) Require() Check {
	c.Required = true
	return c
}

// timeout is how long an answer of /readyz waits for all dependencies together.
const timeout = 3 * time.Second

// Handler answers GET /readyz: {"status","dependencies":{"broker":"ok"|"down"},"reasons":{…}}, with 200 or 503. It probes
// every dependency at the same time.
func Handler(checks []Check) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		ctx, cancel := context.WithTimeout(req.Context(), timeout)
		defer cancel()
		failed := make([]error, len(checks))
		var wg sync.WaitGroup
		for i, check := range checks {
			wg.Go(func() { failed[i] = check.Probe(ctx) })
		}
		wg.Wait()
		status, word := http.StatusOK, "ready"
		dependencies, reasons := map[string]string{}, map[string]string{}
		for i, check := range checks {
			dependencies[check.Name] = "ok"
			if failed[i] == nil {
				continue
			}
			dependencies[check.Name] = "down"
			if check.Public {
				reasons[check.Name] = failed[i].Error()
			}
			if check.Required {
				status, word = http.StatusServiceUnavailable, "not ready"
			}
		}
		answer := map[string]any{"status": word, "dependencies": dependencies}
		if len(reasons) > 0 {
			answer["reasons"] = reasons
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(answer) // fails only if the client is gone
	})
}
