// Package web is the HTTP server side that all services share: Echo with /livez and /readyz, errors with codes as JSON,
// request ids, and the reading of requests.
package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"flixtube/chassis/health"
	"flixtube/chassis/process"
	"flixtube/chassis/requestid"
)

// Metrics answers GET /metrics in the text format of Prometheus. It is for services that cannot be reached from outside.
func Metrics() echo.HandlerFunc { return echo.WrapHandler(promhttp.Handler()) }

// NewEcho returns an Echo with the parts of every service: GET /livez, GET /readyz, request ids, panics caught, errors
// answered as JSON (see Error).
func NewEcho(log *slog.Logger, checks ...health.Check) *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = func(err error, c echo.Context) { WriteError(log, c, err) }
	e.Pre(identify)
	e.Use(middleware.RecoverWithConfig(middleware.RecoverConfig{
		LogErrorFunc: func(_ echo.Context, err error, stack []byte) error {
			return fmt.Errorf("panic: %w\n%s", err, stack)
		},
	}))
	e.GET("/livez", func(c echo.Context) error {
		return c.JSON(http.StatusOK, map[string]string{"status": "alive", "version": process.Version})
	})
	e.GET("/readyz", echo.WrapHandler(health.Handler(checks)))
	return e
}

// identify gives the request's context the id under which it is logged, and answers with it.
func identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		id := requestid.From(c.Request().Header)
		c.Response().Header().Set(requestid.Header, id)
		c.SetRequest(c.Request().WithContext(requestid.NewContext(c.Request().Context(), id)))
		return next(c)
	}
}

// The codes of the errors that any service may answer.
const (
	CodeInternal         = "internal_error"
	CodeNotFound         = "not_found"          // no such route
	CodeMethodNotAllowed = "method_not_allowed" // not on this route
	CodeBadRequest       = "bad_request"        // whatever has no code of its own
	CodeBodyTooLarge     = "body_too_large"     // args: max, in bytes
	CodeBodyIncomplete   = "body_incomplete"
	CodeBodyTimeout      = "body_timeout"
	CodeInvalidNumber    = "invalid_number" // args: name
	CodeViewerMissing    = "viewer_missing"
	CodeNoAnswer         = "no_answer" // of a service behind this one
)

// Codes are all of them.
func Codes() []string {
	return []string{
		CodeInternal, CodeNotFound, CodeMethodNotAllowed, CodeBadRequest, CodeBodyTooLarge, CodeBodyIncomplete, CodeBodyTimeout,
		CodeInvalidNumber, CodeViewerMissing, CodeNoAnswer,
	}
}

// Error is an answer to the client: a status, a code for programs, and a sentence that shows no internals. As JSON it is
// {"error":"…","code":"name_too_long","args":{"max":200}}. Handlers return it; any other error is answered with 500 and
// logged.
type Error struct {
	Status  int            `json:"-"`
	Message string         `json:"error"`
	Code    string         `json:"code"`
	Args    map[string]any `json:"args,omitempty"` // the values in the message, by name
	cause   error
}

// Errorf returns an Error. Its message is for the client; a cause, wrapped with Because, is for the log.
func Errorf(status int, code, format string, values ...any) *Error {
	return &Error{Status: status, Code: code, Message: fmt.Sprintf(format, values...)}
}

// With returns e with one more of its Args.
func (e *Error) With(name string, value any) *Error {
	with := *e
	with.Args = map[string]any{name: value}
	for k, v := range e.Args {
		with.Args[k] = v
	}
	return &with
}

// NoAnswer is the error for a service behind this one that cannot be reached or gives no answer of use.
func NoAnswer() *Error {
	return Errorf(http.StatusBadGateway, CodeNoAnswer, "no answer came, try again in a moment")
}

// Because keeps the cause of e for the log.
func (e *Error) Because(cause error) *Error {
	with := *e
	with.cause = cause
	return &with
}

func (e *Error) Error() string {
	if e.cause != nil {
		return e.Message + ": " + e.cause.Error()
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.cause }

// AsError returns the answer to the client for err: err itself if it is an Error, the router's 404 or 405, or else 500.
func AsError(err error) *Error {
	var own *Error
	var routing *echo.HTTPError
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &routing):
		code := CodeBadRequest
		switch routing.Code {
		case http.StatusNotFound:
			code = CodeNotFound
		case http.StatusMethodNotAllowed:
			code = CodeMethodNotAllowed
		}
		return Errorf(routing.Code, code, "%s", http.StatusText(routing.Code))
	}
	return Errorf(http.StatusInternalServerError, CodeInternal, "internal error")
}

// Log logs err if it is the service's fault and the client still waits for an answer.
func Log(log *slog.Logger, req *http.Request, status int, err error) {
	if status >= http.StatusInternalServerError && req.Context().Err() == nil {
		log.ErrorContext(req.Context(), "request failed", "method", req.Method, "path", req.URL.Path, "status", status, "error", err)
	}
}

// WriteError answers with err as JSON, and logs it if it is the service's fault.
func WriteError(log *slog.Logger, c echo.Context, err error) {
	answer := AsError(err)
	Log(log, c.Request(), answer.Status, err)
	if !c.Response().Committed { // else the client has a status already; the rest of the answer is missing
		answer.Write(c.Response(), c.Request())
	}
}

// Write writes e as the whole answer to req; to HEAD, without its body (RFC 9110 section 9.3.2).
func (e *Error) Write(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Status)
	if req.Method != http.MethodHead {
		_ = json.NewEncoder(w).Encode(e) // fails only if the client is gone
	}
}
