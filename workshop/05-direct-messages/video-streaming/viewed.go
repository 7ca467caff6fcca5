package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// viewed is the message that a video was watched.
type viewed struct {
	ViewedAt time.Time `json:"viewedAt"`
	Video    video     `json:"video"`
}

type video struct {
	ID string `json:"id"`
}

// history is the service of that name.
type history struct {
	url    string
	client http.Client
}

func connect(url string) (*history, error) {
	return &history{url: url, client: http.Client{Timeout: time.Second}}, nil
}

// send returns nil only if history has confirmed the message.
func (h *history) send(v viewed) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	response, err := h.client.Post(h.url+"/viewed", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		return fmt.Errorf("history answered %s", response.Status)
	}
	return nil
}
