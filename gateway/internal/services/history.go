package services

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"flixtube/contracts/codes"
	"flixtube/contracts/limits"
)

// History knows what each viewer watched, and how far.
type History struct{ client }

// NewHistory returns the client of the service at base.
func NewHistory(http *http.Client, base *url.URL) History { return History{client{http, base}} }

// Position is where the viewer stopped.
type Position struct {
	VideoID  string  `json:"videoId"`
	Position float64 `json:"position"` // seconds
	Duration float64 `json:"duration"` // of the video, in seconds
}

// Percent is how much of the video that is, or 0 if unknown.
func (p Position) Percent() int {
	if p.Duration <= 0 || p.Position < 0 {
		return 0
	}
	return int(min(100, 100*p.Position/p.Duration))
}

// Unfinished reports whether there is something to continue: the viewer has watched more than a few seconds, and has not
// reached the credits.
func (p Position) Unfinished() bool {
	return p.Duration > 0 && p.Position >= min(0.03*p.Duration, 10) && p.Position < max(0.95*p.Duration, p.Duration-60)
}

// Viewing is one line of the viewer's history: a video, on a day in UTC, when it was last watched on that day.
type Viewing struct {
	ID       string    `json:"_id"`
	ViewedAt time.Time `json:"viewedAt"`
	Position
}

// Viewings returns a page of the viewer's history, newest first.
func (h History) Viewings(ctx context.Context, viewer string, skip, limit int64) ([]Viewing, error) {
	var answer struct {
		History []Viewing `json:"history"`
	}
	query := paging(skip, limit)
	query.Set("by", "day")
	err := h.get(ctx, viewer, "history", query, &answer)
	return answer.History, err
}

// Unfinished returns the positions from which the viewer may want to continue, the last watched first: those among the
// last limits.IDs.
func (h History) Unfinished(ctx context.Context, viewer string) ([]Position, error) {
	var answer struct {
		Positions []Position `json:"positions"`
	}
	if err := h.get(ctx, viewer, "positions", paging(0, limits.IDs), &answer); err != nil {
		return nil, err
	}
	var unfinished []Position
	for _, p := range answer.Positions {
		if p.Unfinished() {
			unfinished = append(unfinished, p)
		}
	}
	return unfinished, nil
}

// Resume returns where the viewer continues a video, in seconds: 0 for one that is not begun, or is finished.
func (h History) Resume(ctx context.Context, viewer, videoID string) (float64, error) {
	var answer struct {
		Position Position `json:"position"`
	}
	err := h.get(ctx, viewer, "position", url.Values{"video": {videoID}}, &answer)
	if hasCode(err, codes.PositionNotFound, codes.InvalidID) {
		return 0, nil
	}
	if err != nil || !answer.Position.Unfinished() {
		return 0, err
	}
	return answer.Position.Position, nil
}

// RemoveViewing removes one line of the viewer's history.
func (h History) RemoveViewing(ctx context.Context, viewer, id string) error {
	return h.change(ctx, viewer, http.MethodDelete, "viewed", url.Values{"by": {"day"}, "id": {id}}, nil)
}

// Clear removes the viewer's history and positions.
func (h History) Clear(ctx context.Context, viewer string) error {
	return h.change(ctx, viewer, http.MethodDelete, "history", nil, nil)
}
