package chassis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics answers GET /metrics in the text format of Prometheus. It is for services that only others of ours can
// reach.
func Metrics() echo.HandlerFunc { return echo.WrapHandler(promhttp.Handler()) }

// Error is an answer to the caller: a status, and a sentence that shows no internals. Handlers return it;
// any other error is answered with 500 and logged.
type Error struct {
	Status  int
	Message string
	cause   error
}

// Errorf returns an Error. Its message is for the caller; a cause, wrapped with Because, is for the log.
func Errorf(status int, format string, args ...any) *Error {
	return &Error{Status: status, Message: fmt.Sprintf(format, args...)}
}

// Because keeps the cause of e for the log.
func (e *Error) Because(cause error) *Error {
	return &Error{Status: e.Status, Message: e.Message, cause: cause}
}

func (e *Error) Error() string {
	if e.cause != nil {
		return e.Message + ": " + e.cause.Error()
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.cause }

// Check is one dependency as /readyz reports it. Without one that is Required the service cannot do its
// work and answers 503; the others are only named.
type Check struct {
	Name     string
	Required bool
	Probe    func(context.Context) error
}

// NewEcho returns an Echo with what every service has: GET /livez, GET /readyz, panics caught, errors
// answered as {"error": "..."}.
func NewEcho(log *slog.Logger, checks ...Check) *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = func(err error, c echo.Context) { answerError(log, c, err) }
	e.Use(middleware.RecoverWithConfig(middleware.RecoverConfig{
		LogErrorFunc: func(_ echo.Context, err error, stack []byte) error {
			return fmt.Errorf("panic: %w\n%s", err, stack)
		},
	}))
	e.GET("/livez", func(c echo.Context) error {
		return c.JSON(http.StatusOK, map[string]string{"status": "alive", "version": Version})
	})
	e.GET("/readyz", func(c echo.Context) error { return readyz(c, checks) })
	return e
}

func answerError(log *slog.Logger, c echo.Context, err error) {
	status, message := http.StatusInternalServerError, "internal error"
	var own *Error
	var routing *echo.HTTPError
	switch {
	case errors.As(err, &own):
		status, message = own.Status, own.Message
	case errors.As(err, &routing):
		status, message = routing.Code, http.StatusText(routing.Code)
	}
	req := c.Request()
	if status >= http.StatusInternalServerError && req.Context().Err() == nil {
		log.Error("request failed", "method", req.Method, "path", req.URL.Path, "status", status, "error", err)
	}
	if c.Response().Committed {
		return // the caller has a status already; the rest of the answer is missing
	}
	if req.Method == http.MethodHead {
		_ = c.NoContent(status)
		return
	}
	_ = c.JSON(status, map[string]string{"error": message}) // fails only if the caller is gone
}

// readyz asks every dependency at the same time and answers within three seconds.
func readyz(c echo.Context, checks []Check) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), 3*time.Second)
	defer cancel()
	states := make([]error, len(checks))
	var wg sync.WaitGroup
	for i, check := range checks {
		wg.Go(func() { states[i] = check.Probe(ctx) })
	}
	wg.Wait()
	status, word := http.StatusOK, "ready"
	dependencies := map[string]string{}
	for i, check := range checks {
		dependencies[check.Name] = "ok"
		if states[i] != nil {
			dependencies[check.Name] = "down"
			if check.Required {
				status, word = http.StatusServiceUnavailable, "not ready"
			}
		}
	}
	return c.JSON(status, map[string]any{"status": word, "dependencies": dependencies})
}

// NewTransport returns a transport for calls between services: many connections kept per host, bodies as
// they are on the wire.
func NewTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy = nil
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, 128
	t.DisableCompression = true
	return t
}

// maxJSON bounds what GetJSON reads from another service.
const maxJSON = 16 << 20

// StatusError is an answer of another service other than 200. It is not for the caller: a handler that returns it
// answers 500.
type StatusError struct {
	Status int
	host   string
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s answered %d %s", e.host, e.Status, http.StatusText(e.Status))
}

// GetJSON sends req and decodes the answer into v. An answer other than 200 is a *StatusError.
func GetJSON(client *http.Client, req *http.Request, v any) error {
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() {
		_, _ = io.CopyN(io.Discard, res.Body, 64<<10) // to its end, usually, so that the connection can be kept
		res.Body.Close()
	}()
	if res.StatusCode != http.StatusOK {
		return &StatusError{res.StatusCode, req.URL.Host}
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxJSON)).Decode(v); err != nil {
		return fmt.Errorf("decode the answer of %s: %w", req.URL.Host, err)
	}
	return nil
}

// HTTPCheck probes the /livez of the service at base.
func HTTPCheck(client *http.Client, base *url.URL) func(context.Context) error {
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath("livez").String(), nil)
		if err != nil {
			return err
		}
		return GetJSON(client, req, &struct{}{})
	}
}
