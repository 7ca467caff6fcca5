package main

import "flixtube/chassis"

type config struct {
	addr, rabbit, dbHost, dbName string
}

func readConfig(getenv func(string) string) (config, error) {
	env := chassis.NewEnv(getenv)
	cfg := config{
		addr:   env.Addr(),
		rabbit: env.Required("RABBIT"),
		dbHost: env.Required("DBHOST"),
		dbName: env.Required("DBNAME"),
	}
	return cfg, env.Err()
}
