package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// outbox is a folder with a file for each message that the broker has not confirmed yet.
type outbox struct{ dir string }

func openOutbox(dir string) (outbox, error) {
	return outbox{dir}, os.MkdirAll(dir, 0o700)
}

// add keeps the message. It is renamed when it is complete, so that the relay never reads half of it.
func (o outbox) add(v viewed) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	name := filepath.Join(o.dir, rand.Text())
	if err := os.WriteFile(name, body, 0o600); err != nil {
		return err
	}
	return os.Rename(name, name+".json")
}

// relay publishes the messages, and connects again whenever that fails.
func (o outbox) relay(url string) {
	for {
		fmt.Fprintln(os.Stderr, "video-streaming: the outbox waits:", o.publish(url))
		time.Sleep(time.Second)
	}
}

func (o outbox) publish(url string) error {
	b, err := connect(url)
	if err != nil {
		return err
	}
	defer b.connection.Close()
	for {
		names, err := filepath.Glob(filepath.Join(o.dir, "*.json"))
		if err != nil {
			return err
		}
		for _, name := range names {
			body, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			if err := b.send(body); err != nil {
				return err
			}
			if err := os.Remove(name); err != nil {
				return err
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
}
