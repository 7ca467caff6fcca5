package main

import (
	"log/slog"
	"net/url"

	"flixtube/chassis/process"
)

type config struct {
	addr, rabbit, outboxDir string
	delivery                string // direct, or a key of destinations
	outboxLimit             int64
	storage, history        *url.URL
	logLevel                slog.Level
}

func readConfig(getenv func(string) string) (config, error) {
	env := process.NewEnv(getenv)
	cfg := config{
		addr:        env.Addr(),
		logLevel:    env.LogLevel(),
		delivery:    env.Optional("VIEWED_DELIVERY", "fanout"),
		outboxDir:   env.Required("OUTBOX_DIR"),
		outboxLimit: env.Int("OUTBOX_LIMIT", 100_000),
		storage:     env.URL("VIDEO_STORAGE_URL", "http://video-storage"),
		history:     env.URL("HISTORY_URL", "http://history"),
	}
	if cfg.delivery != "direct" {
		cfg.rabbit = env.Secret("RABBIT")
		if _, ok := destinations[cfg.delivery]; !ok {
			env.Invalid("VIEWED_DELIVERY", "must be direct, queue or fanout")
		}
	}
	return cfg, env.Err()
}
