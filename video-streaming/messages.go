package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"flixtube/chassis/messaging"
	"flixtube/chassis/relay"
	"flixtube/contracts"
)

// viewed is the message that a video was watched. It has no viewer if that is unknown.
type viewed struct {
	ID       string `json:"id"`
	ViewedAt string `json:"viewedAt"` // RFC 3339, UTC, milliseconds
	Viewer   *named `json:"viewer,omitempty"`
	Video    named  `json:"video"`
}

type named struct {
	ID string `json:"id"`
}

func newViewed(id, viewer, video string, at time.Time) messaging.Message {
	v := viewed{ID: id, ViewedAt: at.UTC().Format("2006-01-02T15:04:05.000Z"), Video: named{video}}
	if viewer != "" {
		v.Viewer = &named{viewer}
	}
	body, _ := json.Marshal(v) // strings always encode
	return messaging.Message{ID: id, Body: body}
}

// destinations has one for each value of VIEWED_DELIVERY but direct.
var destinations = map[string]messaging.Destination{
	"fanout": contracts.Viewed.Destination(),
	"queue":  messaging.To(contracts.ViewedQueue),
}

const directTimeout = 10 * time.Second

// direct posts each message to target; a 2xx confirms it. A message that target rejects as invalid would be rejected
// again: it is logged and dropped. After any other status all messages are sent again.
func direct(transport http.RoundTripper, target string, log *slog.Logger) relay.Send {
	return func(ctx context.Context, msgs []messaging.Message) error {
		for _, m := range msgs {
			status, err := post(ctx, transport, target, m.Body)
			if err != nil {
				return fmt.Errorf("post viewed: %w", err)
			}
			switch status {
			case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
				log.ErrorContext(ctx, "viewed message was rejected and dropped", "id", m.ID, "status", status, "body", string(m.Body))
			default:
				if status/100 != 2 {
					return fmt.Errorf("post viewed: %s answered %d", target, status)
				}
			}
		}
		return nil
	}
}

func post(ctx context.Context, transport http.RoundTripper, target string, body []byte) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, directTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := transport.RoundTrip(req) // not a Client: a redirect does not confirm
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, 4096) // usually all of it, so that the connection can be reused
	return res.StatusCode, nil
}
