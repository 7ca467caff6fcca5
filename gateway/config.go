package main

import (
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"flixtube/chassis/process"
)

type config struct {
	addr                                                string
	metadata, history, recommendations, streams, upload *url.URL
	secureCookie                                        bool
	rateLimit                                           int64 // requests per second
	trustedProxies                                      []netip.Prefix
	sendTimeout                                         time.Duration
	viewerKeys                                          [][]byte
	unsignedUntil                                       time.Time
	logLevel                                            slog.Level
}

func readConfig(getenv func(string) string) (config, error) {
	env := process.NewEnv(getenv)
	secure, err := strconv.ParseBool(env.Optional("COOKIE_SECURE", "false"))
	if err != nil {
		env.Invalid("COOKIE_SECURE", "must be true or false")
	}
	unsignedUntil, err := time.Parse(time.DateOnly, env.Optional("VIEWER_UNSIGNED_UNTIL", "0001-01-01"))
	if err != nil {
		env.Invalid("VIEWER_UNSIGNED_UNTIL", "must be a date such as 2006-01-02")
	}
	cfg := config{
		addr:            env.Addr(),
		logLevel:        env.LogLevel(),
		metadata:        env.URL("METADATA_URL", "http://metadata"),
		history:         env.URL("HISTORY_URL", "http://history"),
		recommendations: env.URL("RECOMMENDATIONS_URL", "http://recommendations"),
		streams:         env.URL("VIDEO_STREAMING_URL", "http://video-streaming"),
		upload:          env.URL("VIDEO_UPLOAD_URL", "http://video-upload"),
		secureCookie:    secure,
		rateLimit:       env.Int("RATE_LIMIT", 100),
		trustedProxies:  networks(env, "TRUSTED_PROXIES"),
		sendTimeout:     time.Duration(env.Int("SEND_TIMEOUT", 300)) * time.Second,
		viewerKeys:      keys(env, "VIEWER_KEY"),
		unsignedUntil:   unsignedUntil,
	}
	return cfg, env.Err()
}

// networks reads a list of networks and addresses, separated by commas.
func networks(env *process.Env, name string) []netip.Prefix {
	list := env.Optional(name, "")
	if list == "" {
		return nil
	}
	var all []netip.Prefix
	for item := range strings.SplitSeq(list, ",") {
		item = strings.TrimSpace(item)
		network, err := netip.ParsePrefix(item)
		if address, notAnAddress := netip.ParseAddr(item); notAnAddress == nil {
			network, err = address.Unmap().Prefix(address.Unmap().BitLen())
		}
		if err != nil {
			env.Invalid(name, "must be networks and addresses such as 10.0.0.0/8,192.0.2.1")
			return nil
		}
		all = append(all, network.Masked())
	}
	return all
}

const minKey = 32 // bytes

// keys reads one or more keys, separated by white space.
func keys(env *process.Env, name string) (all [][]byte) {
	secret := env.Secret(name)
	for key := range strings.FieldsSeq(secret) {
		if len(key) < minKey {
			env.Invalid(name, fmt.Sprintf("must have %d or more characters; openssl rand -hex 32 makes one", minKey))
			return nil
		}
		all = append(all, []byte(key))
	}
	return all
}
