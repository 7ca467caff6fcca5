package main

import (
	"log/slog"
	"net/url"
	"strconv"

	"flixtube/chassis/process"
)

type config struct {
	addr                                                string
	metadata, history, recommendations, streams, upload *url.URL
	secureCookie                                        bool
	rateLimit                                           int64 // requests per second
	logLevel                                            slog.Level
}

func readConfig(getenv func(string) string) (config, error) {
	env := process.NewEnv(getenv)
	secure, err := strconv.ParseBool(env.Optional("COOKIE_SECURE", "false"))
	if err != nil {
		env.Invalid("COOKIE_SECURE", "must be true or false")
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
	}
	return cfg, env.Err()
}
