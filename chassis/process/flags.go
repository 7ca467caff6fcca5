package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"runtime/debug"
	"time"
)

// Version is what -version and /livez show. Builds for others set it:
// -ldflags "-X flixtube/chassis/process.Version=v1.2.3".
var Version = "development"

// Name is the service's name, that of its module, whatever its binary is called.
func Name() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Path != "" {
		return path.Base(info.Main.Path)
	}
	return filepath.Base(os.Args[0])
}

// answerFlag obeys the only argument, if it is one that every service knows:
//
//	-version  prints the name and the version
//	-health   asks the service that runs on PORT of this machine whether it is ready; an error if it is not. It
//	          is for containers, which have no other program that could
//	-watchdog is -health, and kills the service if it has not even answered /livez for 20 seconds, so that its container
//	          restarts. The service must not be process 1, which cannot be killed from within its container
func answerFlag(args []string, getenv func(string) string, stdout io.Writer) (answered bool, err error) {
	if len(args) != 1 {
		return false, nil
	}
	switch args[0] {
	case "-version":
		_, err := fmt.Fprintln(stdout, Name(), Version)
		return true, err
	case "-health":
		return true, ask(getenv, "/readyz")
	case "-watchdog":
		return true, watch(getenv, killOthers)
	}
	return false, nil
}

// hung is how long a service may give no answer at all.
const hung = 20 * time.Second

// watch asks the service whether it is ready, and calls kill if it hangs.
func watch(getenv func(string) string, kill func() error) error {
	began := time.Now()
	err := ask(getenv, "/readyz")
	for alive := err; errors.Is(alive, errNoAnswer); alive = ask(getenv, "/livez") {
		if time.Since(began) > hung {
			return errors.Join(fmt.Errorf("killed: %w", err), kill())
		}
		<-time.After(time.Second)
	}
	return err
}

// ask returns an error unless the service on this machine answers the path with 200.
func ask(getenv func(string) string, path string) error {
	env := NewEnv(getenv)
	host, port := env.host(), env.Required("PORT")
	if err := env.Err(); err != nil {
		return err
	}
	if host == "" { // every interface; this machine may have addresses of one kind only
		if err := askAt("127.0.0.1", port, path); !errors.Is(err, errNoAnswer) {
			return err
		}
		host = "::1"
	}
	return askAt(host, port, path)
}

var errNoAnswer = errors.New("no answer")

func askAt(host, port, path string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+path, nil)
	if err != nil {
		return err
	}
	res, err := (&http.Client{Transport: &http.Transport{}}).Do(req) // no proxy: it is this machine
	if err != nil {
		return fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
		return fmt.Errorf("%s: %s", res.Status, why)
	}
	return nil
}
