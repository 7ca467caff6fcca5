// Check tells whether this machine has what the workshop needs, and how to get what it lacks.
//
//	go run ./workshop/check
//
// It fails if something is missing that even the first chapter needs.
package main

import (
	"context"
	"errors"
	"fmt"
	"go/version"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(1)
	}
}

// need is something that chapters use.
type need struct {
	name     string
	chapters string
	always   bool
	missing  func(context.Context) error
	cure     string
}

var needs = []need{
	{"Go 1.26", "all", true, goVersion, "https://go.dev/dl/"},
	{"bash", "all", true, works("bash", "--version"), "on Windows use WSL: https://learn.microsoft.com/windows/wsl/install"},
	{"curl 7.82", "all", true, works("curl", "--json", "{}", "--version"), "an older one lacks --json: https://curl.se/download.html"},
	{"Docker", "3, 4, 6 to 11", false, works("docker", "info"), "install it, or start it: https://docs.docker.com/get-started/get-docker/"},
	{"Compose v2", "4, 9 to 11", false, works("docker", "compose", "version"), "https://docs.docker.com/compose/install/"},
	{"a C compiler", "10", false, works("gcc", "--version"), "on Debian apt install gcc, on a Mac xcode-select --install"},
	{"a Kubernetes cluster", "11", false, works("kubectl", "get", "nodes"), "kind create cluster: https://kind.sigs.k8s.io"},
	{"Terraform", "12", false, works("terraform", "version"), "https://developer.hashicorp.com/terraform/install"},
}

// ports are those that the chapters listen on.
var ports = []string{"4000", "4001", "4002", "4003", "4005", "4006", "4012", "4101", "5001", "5672", "15672", "27017"}

func run(ctx context.Context, stdout io.Writer) error {
	var lacks []string
	for _, n := range needs {
		err := n.missing(ctx)
		if err == nil {
			fmt.Fprintf(stdout, "ok       %s\n", n.name)
			continue
		}
		fmt.Fprintf(stdout, "missing  %s (chapters: %s): %v\n         %s\n", n.name, n.chapters, err, n.cure)
		if n.always {
			lacks = append(lacks, n.name)
		}
	}
	taken := slices.DeleteFunc(slices.Clone(ports), free)
	if len(taken) > 0 {
		fmt.Fprintf(stdout, "taken    ports %s\n         end what listens there before a chapter that uses them (lsof -i :%s)\n",
			strings.Join(taken, ", "), taken[0])
	} else {
		fmt.Fprintf(stdout, "ok       ports %s\n", strings.Join(ports, ", "))
	}
	if len(lacks) > 0 {
		return fmt.Errorf("every chapter needs %s", strings.Join(lacks, " and "))
	}
	return nil
}

func goVersion(context.Context) error {
	if version.Compare(runtime.Version(), "go1.26") < 0 {
		return errors.New("this is " + runtime.Version())
	}
	return nil
}

func works(name string, args ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		return exec.CommandContext(ctx, name, args...).Run()
	}
}

func free(port string) bool {
	l, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return false
	}
	l.Close()
	return true
}
