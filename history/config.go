package main

import (
	"log/slog"

	"flixtube/chassis/process"
)

type config struct {
	addr, rabbit, dbHost, dbName string
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
	}
	return cfg, env.Err()
}
