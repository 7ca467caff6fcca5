//go:build unix

package chassistest

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Azurite starts a blob service of its own for this test and returns its endpoint, which includes the account.
// It is found through the variable AZURITE, the path of azurite-blob, or on the PATH.
func Azurite(tb testing.TB) (endpoint string) {
	tb.Helper()
	program, err := azuriteProgram()
	if err != nil {
		Missing(tb, "azurite (npm install -g azurite@3.37.0)")
	}
	dir := tb.TempDir()
	for range 5 { // the port was free a moment ago; another process may have been quicker
		port := FreePort(tb)
		if stop, ok := startAzurite(tb, program, dir, port); ok {
			tb.Cleanup(stop)
			return fmt.Sprintf("http://127.0.0.1:%s/%s", port, AzuriteAccount)
		}
	}
	tb.Fatal("azurite does not start")
	return ""
}

func azuriteProgram() (string, error) {
	if path := os.Getenv("AZURITE"); path != "" {
		return exec.LookPath(path)
	}
	return exec.LookPath("azurite-blob")
}

// startAzurite returns false if the process ended before it answered.
func startAzurite(tb testing.TB, program, dir string, port string) (stop func(), ok bool) {
	tb.Helper()
	cmd := child(tb, program, "--blobHost", "127.0.0.1", "--blobPort", port,
		"--location", dir, "--silent", "--skipApiVersionCheck", "--disableTelemetry")
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		tb.Fatalf("start azurite: %v", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	stop = func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
	}
	deadline := time.After(2 * time.Minute)
	for {
		if azuriteAnswers(port) {
			return stop, true
		}
		select {
		case <-ended:
			return nil, false
		case <-deadline:
			stop()
			tb.Fatal("azurite does not answer")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func azuriteAnswers(port string) bool {
	client := http.Client{Timeout: 5 * time.Second}
	res, err := client.Get(fmt.Sprintf("http://127.0.0.1:%s/", port))
	if err != nil {
		return false
	}
	res.Body.Close()
	return strings.HasPrefix(res.Header.Get("Server"), "Azurite") // with whatever status
}
