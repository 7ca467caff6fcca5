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

// Check is one dependency as /readyz reports it. Without one that is Required the service cannot do its
// work and answers 503; the others are only named.
type Check struct {
	Name     string // of the service behind it, as in video-storage; "broker" and "database" for those two
	Required bool
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

// Handler answers GET /readyz. It probes every dependency at the same time.
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
		dependencies := map[string]string{}
		for i, check := range checks {
			dependencies[check.Name] = "ok"
			if failed[i] != nil {
				dependencies[check.Name] = "down"
				if check.Required {
					status, word = http.StatusServiceUnavailable, "not ready"
				}
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"status": word, "dependencies": dependencies}) // fails only if the caller is gone
	})
}
