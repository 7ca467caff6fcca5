package main

import (
	"log/slog"
	"net/url"
	"time"

	"flixtube/chassis/process"
)

// config has either dir or azure.
type config struct {
	addr     string
	rabbit   string
	dir      string
	azure    azure
	metadata *url.URL
	since    time.Time // bytes that were stored before are never swept
	logLevel slog.Level
}

// federatedTokenFile is set by Azure's workload identity add-on, with the other variables that azidentity reads.
const federatedTokenFile = "AZURE_FEDERATED_TOKEN_FILE"

// azure has no key where the pod's workload identity is to be used.
type azure struct{ account, key, endpoint string }

func readConfig(getenv func(string) string) (config, error) {
	env := process.NewEnv(getenv)
	cfg := config{
		addr:     env.Addr(),
		logLevel: env.LogLevel(),
		rabbit:   env.Secret("RABBIT"),
		dir:      getenv("VIDEOS_DIR"),
		metadata: env.URL("METADATA_URL", "http://metadata"),
	}
	if since := getenv("SWEEP_SINCE"); since != "" {
		var err error
		if cfg.since, err = time.Parse(time.RFC3339, since); err != nil {
			env.Invalid("SWEEP_SINCE", "must be a time such as 2006-01-02T15:04:05Z")
		}
	}
	const three = "STORAGE_ACCOUNT_NAME, STORAGE_ACCESS_KEY and STORAGE_ENDPOINT"
	key := getenv("STORAGE_ACCESS_KEY") + getenv("STORAGE_ACCESS_KEY_FILE")
	blobs := getenv("STORAGE_ACCOUNT_NAME") + key + getenv("STORAGE_ENDPOINT")
	switch {
	case cfg.dir == "" && blobs == "":
		env.Invalid("VIDEOS_DIR", "or "+three+" must be set")
	case cfg.dir != "" && blobs != "":
		env.Invalid("VIDEOS_DIR", "must not be set together with "+three)
	case blobs != "":
		cfg.azure = azure{
			account:  env.Required("STORAGE_ACCOUNT_NAME"),
			endpoint: env.Required("STORAGE_ENDPOINT"),
		}
		if key != "" || getenv(federatedTokenFile) == "" {
			cfg.azure.key = env.Secret("STORAGE_ACCESS_KEY")
		}
		if cfg.azure.endpoint != "" {
			env.URL("STORAGE_ENDPOINT", "")
		}
	}
	return cfg, env.Err()
}
