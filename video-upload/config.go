package main

import (
	"log/slog"
	"net/url"
	"path/filepath"
	"strconv"

	"flixtube/chassis/process"
)

type config struct {
	addr, rabbit, outboxDir, uploadsDir string
	storage                             *url.URL
	uploadLimit, outboxLimit            int64
	ffmpeg                              bool
	logLevel                            slog.Level
}

func readConfig(getenv func(string) string) (config, error) {
	env := process.NewEnv(getenv)
	cfg := config{
		addr:        env.Addr(),
		logLevel:    env.LogLevel(),
		rabbit:      env.Secret("RABBIT"),
		outboxDir:   env.Required("OUTBOX_DIR"),
		storage:     env.URL("VIDEO_STORAGE_URL", "http://video-storage"),
		uploadLimit: env.Int("UPLOAD_LIMIT", 4_000_000_000),
		outboxLimit: env.Int("OUTBOX_LIMIT", 100_000),
	}
	cfg.uploadsDir = env.Optional("UPLOADS_DIR", filepath.Join(cfg.outboxDir, "unfinished"))
	var err error
	if cfg.ffmpeg, err = strconv.ParseBool(env.Optional("POSTERS_BY_FFMPEG", "true")); err != nil {
		env.Invalid("POSTERS_BY_FFMPEG", "must be true or false")
	}
	return cfg, env.Err()
}
