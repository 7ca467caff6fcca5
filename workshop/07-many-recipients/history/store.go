package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"time"
)

// viewed is the message that a video was watched.
type viewed struct {
	ViewedAt time.Time `json:"viewedAt"`
	Video    struct {
		ID string `json:"id"`
	} `json:"video"`
}

const file = "history.jsonl" // a line for each message

func add(v viewed) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	return json.NewEncoder(f).Encode(v)
}

func list() ([]viewed, error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	views := []viewed{}
	for lines := json.NewDecoder(f); ; {
		var v viewed
		if err := lines.Decode(&v); errors.Is(err, io.EOF) {
			return views, nil
		} else if err != nil {
			return nil, err
		}
		views = append(views, v)
	}
}
