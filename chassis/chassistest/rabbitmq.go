//go:build unix

package chassistest

import (
	"bytes"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// RabbitMQServer is a private RabbitMQ, on ports and in folders of its own.
type RabbitMQServer struct {
	URL        string // amqp://…
	Management string // http://…, of one with definitions

	program  string
	dir      string
	env      []string
	cmd      *exec.Cmd
	ended    chan struct{}
	epmdPort string
}

// RabbitMQ starts a private RabbitMQ and stops it at the end of the test. Its messages are as long as in the containers.
func RabbitMQ(tb testing.TB) *RabbitMQServer {
	tb.Helper()
	return rabbitMQ(tb, containersArguments, "", url.UserPassword("guest", "guest"))
}

const containersArguments = "-rabbit max_message_size 65536"

// RabbitMQDefined starts one with the users, rights, exchanges and queues of these definitions, and with the management. URL
// is for user, who must be among the users.
func RabbitMQDefined(tb testing.TB, definitions string, user *url.Userinfo) *RabbitMQServer {
	tb.Helper()
	return rabbitMQ(tb, containersArguments, definitions, user)
}

// URLOf is URL for another user.
func (s *RabbitMQServer) URLOf(user *url.Userinfo) string {
	_, host, _ := strings.Cut(s.URL, "@")
	return "amqp://" + user.String() + "@" + host
}

// RabbitMQAsInstalled starts one that takes messages of any length.
func RabbitMQAsInstalled(tb testing.TB) *RabbitMQServer {
	tb.Helper()
	return rabbitMQ(tb, "", "", url.UserPassword("guest", "guest"))
}

func rabbitMQ(tb testing.TB, arguments, definitions string, user *url.Userinfo) *RabbitMQServer {
	tb.Helper()
	program := findRabbitMQ()
	if program == "" {
		Missing(tb, "RabbitMQ (apt install rabbitmq-server)")
	}
	dir, port := tb.TempDir(), FreePort(tb)
	s := &RabbitMQServer{
		URL: "amqp://" + user.String() + "@127.0.0.1:" + port, program: program, dir: dir, epmdPort: FreePort(tb),
	}
	config := "listeners.tcp.1 = 127.0.0.1:" + port + "\ndisk_free_limit.absolute = 50MB\n"
	plugins := "[]"
	if definitions != "" {
		management := FreePort(tb)
		s.Management, plugins = "http://127.0.0.1:"+management, "[rabbitmq_management]"
		config += "load_definitions = " + filepath.Join(dir, "definitions.json") +
			"\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = " + management + "\n"
	}
	for name, text := range map[string]string{
		"rabbitmq.conf":    config,
		"enabled_plugins":  plugins + ".\n",
		"definitions.json": definitions,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	s.env = append(os.Environ(),
		"HOME="+dir,
		"RABBITMQ_NODENAME=flixtube"+port+"@localhost",
		"RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
		"RABBITMQ_NODE_PORT="+port,
		"RABBITMQ_DIST_PORT="+FreePort(tb),
		"ERL_EPMD_PORT="+s.epmdPort,
		"ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_MNESIA_BASE="+filepath.Join(dir, "mnesia"),
		"RABBITMQ_LOG_BASE="+filepath.Join(dir, "log"),
		"RABBITMQ_CONF_ENV_FILE=/dev/null",
		"RABBITMQ_CONFIG_FILE="+filepath.Join(dir, "rabbitmq"),
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+arguments,
		"RABBITMQ_ENABLED_PLUGINS_FILE="+filepath.Join(dir, "enabled_plugins"),
	)
	tb.Cleanup(func() {
		s.Kill(tb)
		_ = exec.Command("epmd", "-port", s.epmdPort, "-kill").Run() // it outlives its node, and may be gone already
	})
	s.Start(tb)
	return s
}

// findRabbitMQ prefers the program itself to Debian's wrapper, which changes the user.
func findRabbitMQ() string {
	for _, name := range []string{"/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// Start starts the server, with the data it had before, and waits until it answers.
func (s *RabbitMQServer) Start(tb testing.TB) {
	tb.Helper()
	s.cmd = child(tb, s.program)
	s.cmd.Env, s.cmd.Dir = s.env, s.dir
	var output bytes.Buffer
	s.cmd.Stdout, s.cmd.Stderr = &output, &output
	s.cmd.WaitDelay = time.Second // epmd may hold the output open
	if err := s.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	s.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait() // how it ended is in output
		close(ended)
	}(s.cmd, s.ended)
	Eventually(tb, 3*time.Minute, "RabbitMQ answers", func() error {
		select {
		case <-s.ended:
			tb.Fatalf("RabbitMQ ended: %s", output.String())
		default:
		}
		conn, err := amqp.Dial(s.URL)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// Kill ends the server at once, as a crash would (kill -9 of all its processes).
func (s *RabbitMQServer) Kill(tb testing.TB) { tb.Helper(); s.signal(tb, syscall.SIGKILL) }

// Stop lets the server end cleanly.
func (s *RabbitMQServer) Stop(tb testing.TB) { tb.Helper(); s.signal(tb, syscall.SIGTERM) }

func (s *RabbitMQServer) signal(tb testing.TB, sig syscall.Signal) {
	tb.Helper()
	select {
	case <-s.ended:
		return
	default:
	}
	if err := syscall.Kill(-s.cmd.Process.Pid, sig); err != nil {
		tb.Errorf("signal RabbitMQ: %v", err)
	}
	select {
	case <-s.ended:
	case <-time.After(30 * time.Second):
		tb.Errorf("RabbitMQ does not end")
	}
}
