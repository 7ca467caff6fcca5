package process

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
)

// Env reads the configuration of a service once, at its start, and gathers everything that is wrong with
// it, so that one message names it all.
type Env struct {
	getenv  func(string) string
	missing []string
	invalid []error
}

// NewEnv reads from getenv, which is os.Getenv outside tests.
func NewEnv(getenv func(string) string) *Env { return &Env{getenv: getenv} }

// Required returns a variable that must not be empty.
func (e *Env) Required(name string) string {
	v := e.getenv(name)
	if v == "" {
		e.missing = append(e.missing, name)
	}
	return v
}

// Secret returns what the variable holds, or what the file holds that the variable with _FILE after its name names, without
// the white space around it. One of the two is required. A secret that is only white space counts as missing.
func (e *Env) Secret(name string) string {
	secret, file := strings.TrimSpace(e.getenv(name)), e.getenv(name+"_FILE")
	if secret != "" && file != "" {
		e.Invalid(name, fmt.Sprintf("and %s_FILE exclude each other", name))
		return ""
	}
	if file != "" {
		content, err := os.ReadFile(file)
		if err != nil {
			e.Invalid(name+"_FILE", "names a file that cannot be read: "+err.Error())
			return ""
		}
		secret = strings.TrimSpace(string(content))
	}
	if secret == "" {
		e.missing = append(e.missing, name)
	}
	return secret
}

// Optional returns a variable, or fallback when it is empty.
func (e *Env) Optional(name, fallback string) string {
	if v := e.getenv(name); v != "" {
		return v
	}
	return fallback
}

// URL returns a variable that holds the http address of another service.
func (e *Env) URL(name, fallback string) *url.URL {
	u, err := url.Parse(e.Optional(name, fallback))
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		e.Invalid(name, "must be an http or https URL")
		return &url.URL{}
	}
	return u
}

// Int returns a variable that holds a positive whole number.
func (e *Env) Int(name string, fallback int64) int64 {
	n, err := strconv.ParseInt(e.Optional(name, strconv.FormatInt(fallback, 10)), 10, 64)
	if err != nil || n <= 0 {
		e.Invalid(name, "must be a whole number above 0")
	}
	return n
}

// LogLevel is LOG_LEVEL, by default info.
func (e *Env) LogLevel() (level slog.Level) {
	if err := level.UnmarshalText([]byte(e.Optional("LOG_LEVEL", "info"))); err != nil {
		e.Invalid("LOG_LEVEL", "must be debug, info, warn or error")
	}
	return level
}

// Invalid records that a variable is set to something that cannot be used.
func (e *Env) Invalid(name, why string) {
	e.invalid = append(e.invalid, fmt.Errorf("%s %s", name, why))
}

// Err is nil if nothing is missing or invalid; otherwise it names every such variable.
func (e *Env) Err() error {
	errs := e.invalid
	if len(e.missing) > 0 {
		errs = append([]error{fmt.Errorf("missing environment variables: %s", strings.Join(e.missing, ", "))}, errs...)
	}
	return errors.Join(errs...)
}

// Addr is where the service listens: PORT, which is required, on HOST, which by default is every interface.
func (e *Env) Addr() string {
	return net.JoinHostPort(e.host(), e.Required("PORT"))
}

// host is HOST, which may be an IPv6 address with or without brackets.
func (e *Env) host() string { return strings.Trim(e.Optional("HOST", ""), "[]") }
