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
)

// viewed says that a video was watched. Without a known viewer it names none.
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
	body, _ := json.Marshal(v) // strings always can be
	return messaging.Message{ID: id, Body: body}
}

// viewedTo is where the message goes, by VIEWED_DELIVERY.
var viewedTo = map[string]messaging.Destination{
	"fanout": messaging.Fanout("viewed", "history.viewed", "recommendations.viewed"),
	"queue":  messaging.To(messaging.Queue{Name: "viewed"}),
}

const directTimeout = 10 * time.Second

// direct posts each message to target and takes 2xx for a confirm. A message that target judges to be
// wrong would be refused again: it is given up, and kept in the log. Any other answer is about something else, and the
// message will be sent again.
func direct(transport http.RoundTripper, target string, log *slog.Logger) relay.Send {
	return func(ctx context.Context, msgs []messaging.Message) error {
		for _, m := range msgs {
			status, err := post(ctx, transport, target, m.Body)
			if err != nil {
				return fmt.Errorf("post viewed: %w", err)
			}
			switch status {
			case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
				log.Error("viewed was refused", "id", m.ID, "status", status, "body", string(m.Body))
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
	res, err := transport.RoundTrip(req) // not a Client: a redirect is no confirm
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, 4096) // to its end, usually, so that the connection can be kept
	return res.StatusCode, nil
}
