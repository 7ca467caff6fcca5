package main

import (
	"log/slog"
	"net/url"

	"flixtube/chassis/process"
)

type config struct {
	addr, rabbit, dbHost, dbName string
	metadata                     *url.URL
	logLevel                     slog.Level
}

func readConfig(getenv func(string) string) (config, error) {
	env := process.NewEnv(getenv)
	cfg := config{
		addr:     env.Addr(),
		logLevel: env.LogLevel(),
		rabbit:   env.Secret("RABBIT"),
		dbHost:   env.Secret("DBHOST"),
		dbName:   env.Required("DBNAME"),
		metadata: env.URL("METADATA_URL", "http://metadata"),
	}
	return cfg, env.Err()
}
