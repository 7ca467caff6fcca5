package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"flixtube/chassis/database"
)

var (
	errNoView     = errors.New("there is no such view")
	errNoPosition = errors.New("there is no position in this video")
)

// view is one entry of a viewer's history.
type view struct {
	ID       string    `bson:"_id" json:"_id"`
	VideoID  string    `bson:"videoId" json:"videoId"`
	ViewedAt time.Time `bson:"viewedAt" json:"viewedAt"`
	Viewer   string    `bson:"viewer" json:"viewer"`

	// The position and the duration, in seconds, come from the viewer's position in the video. They are set only when a
	// viewer's own views are listed.
	Position float64 `bson:"-" json:"position,omitempty"`
	Duration float64 `bson:"-" json:"duration,omitempty"`
}

// hidden replaces a view that its viewer has removed. The id stays, so that a late or repeated message does not bring the
// view back.
type hidden struct {
	ID     string `bson:"_id"`
	Viewer string `bson:"viewer"`
	Hidden bool   `bson:"hidden"`
}

// notHidden also finds documents without the field.
var notHidden = bson.E{Key: "hidden", Value: bson.D{{Key: "$ne", Value: true}}}

// newestFirst has a second key, so that views of the same time have an order.
var newestFirst = bson.D{{Key: "viewedAt", Value: -1}, {Key: "_id", Value: 1}}

// store keeps views under the id of their message, one position for each viewer and video, and the time at which a viewer
// last cleared the history.
type store struct {
	views, cleared   database.Collection
	facts, positions database.Facts
}

func newStore(db database.Database) *store {
	views, removed := db.Collection("history"), db.Collection("removed")
	return &store{
		views: views, cleared: db.Collection("cleared"),
		facts:     database.Facts{Documents: views, Removed: removed, Subject: "videoId"},
		positions: database.Facts{Documents: db.Collection("positions"), Removed: removed, Subject: "videoId"},
	}
}

// ready creates the indexes and tries a write.
func (s *store) ready(ctx context.Context) error {
	err := database.Ready(ctx, s.positions.Documents,
		bson.D{{Key: "viewer", Value: 1}, {Key: "savedAt", Value: -1}, {Key: "_id", Value: 1}},
		bson.D{{Key: "videoId", Value: 1}},
	)
	if err != nil {
		return err
	}
	return database.Ready(ctx, s.views,
		newestFirst,
		append(bson.D{{Key: "viewer", Value: 1}}, newestFirst...),
		bson.D{{Key: "videoId", Value: 1}},
	)
}

// record stores views; those that exist already are left as they are. Views from before their viewer cleared the history
// are hidden.
func (s *store) record(ctx context.Context, views []view) error {
	videos := make([]string, len(views))
	for i, v := range views {
		videos[i] = v.VideoID
	}
	if err := s.facts.Insert(ctx, views, videos); err != nil {
		return err
	}
	if err := s.hideCleared(ctx, views); err != nil {
		return fmt.Errorf("hide views from before a clear: %w", err)
	}
	return nil
}

// hideCleared runs after the views are stored: a clear at the same time either finds the views or has left its note.
func (s *store) hideCleared(ctx context.Context, views []view) error {
	oldest := map[string]time.Time{} // view of each viewer
	for _, v := range views {
		if at, known := oldest[v.Viewer]; !known || v.ViewedAt.Before(at) {
			oldest[v.Viewer] = v.ViewedAt
		}
	}
	notes, err := database.ByIDs[struct {
		Viewer string    `bson:"_id"`
		At     time.Time `bson:"at"`
	}](ctx, s.cleared, slices.Collect(maps.Keys(oldest)))
	if err != nil {
		return err
	}
	for _, note := range notes {
		if oldest[note.Viewer].UnixMilli() > note.At.UnixMilli() { // the database stores milliseconds
			continue
		}
		before := bson.E{Key: "viewedAt", Value: bson.D{{Key: "$lte", Value: note.At}}}
		if err := s.hideAll(ctx, note.Viewer, before); err != nil {
			return err
		}
	}
	return nil
}

// hideAll turns a viewer's views, those that match, into what hidden has.
func (s *store) hideAll(ctx context.Context, viewer string, match ...bson.E) error {
	_, err := s.views.UpdateMany(ctx, append(bson.D{{Key: "viewer", Value: viewer}, notHidden}, match...), bson.D{
		{Key: "$set", Value: bson.D{{Key: "hidden", Value: true}}},
		{Key: "$unset", Value: bson.D{{Key: "videoId", Value: ""}, {Key: "viewedAt", Value: ""}}},
	})
	return err
}

// list returns views, newest first: those of one viewer, with the positions, or those of all if viewer is empty.
func (s *store) list(ctx context.Context, viewer string, skip, limit int64) ([]view, error) {
	if limit == 0 {
		return []view{}, nil // for MongoDB a limit of 0 is no limit
	}
	filter := bson.D{notHidden}
	if viewer != "" {
		filter = bson.D{{Key: "viewer", Value: viewer}, notHidden}
	}
	views, err := database.All[view](ctx, s.views, filter, options.Find().SetSkip(skip).SetLimit(limit).SetSort(newestFirst))
	if err != nil {
		return nil, fmt.Errorf("list views: %w", err)
	}
	if viewer == "" {
		return views, nil
	}
	if err := s.addPositions(ctx, viewer, views); err != nil {
		return nil, fmt.Errorf("add positions to views: %w", err)
	}
	return views, nil
}

// listByDay is list for one viewer with a line for each video and day in UTC, which is the latest view of it on that day.
func (s *store) listByDay(ctx context.Context, viewer string, skip, limit int64) ([]view, error) {
	lines := []view{}
	found, err := s.views.Find(ctx, bson.D{{Key: "viewer", Value: viewer}, notHidden}, options.Find().SetSort(newestFirst))
	if err != nil {
		return nil, fmt.Errorf("list views by day: %w", err)
	}
	defer found.Close(context.WithoutCancel(ctx))
	seen := map[view]bool{}
	for int64(len(lines)) < limit && found.Next(ctx) {
		var v view
		if err := found.Decode(&v); err != nil {
			return nil, fmt.Errorf("read a view: %w", err)
		}
		line := view{VideoID: v.VideoID, ViewedAt: dayOf(v.ViewedAt)}
		if seen[line] {
			continue
		}
		seen[line] = true
		if int64(len(seen)) > skip {
			lines = append(lines, v)
		}
	}
	if err := found.Err(); err != nil {
		return nil, fmt.Errorf("list views by day: %w", err)
	}
	if err := s.addPositions(ctx, viewer, lines); err != nil {
		return nil, fmt.Errorf("add positions to views: %w", err)
	}
	return lines, nil
}

func dayOf(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

// forget deletes the views of removed videos, and the positions in them.
func (s *store) forget(ctx context.Context, videos []string) error {
	if err := s.facts.Forget(ctx, videos); err != nil {
		return err
	}
	return s.positions.Forget(ctx, videos)
}

// hide removes one view from its viewer's history, and the position in its video; with wholeDay, also the other views of the
// video on that day. It returns errNoView if the viewer has no such view, and nil if it is hidden already.
func (s *store) hide(ctx context.Context, viewer, id string, wholeDay bool) error {
	var v struct {
		VideoID  string    `bson:"videoId"`
		ViewedAt time.Time `bson:"viewedAt"`
		Viewer   string    `bson:"viewer"`
		Hidden   bool      `bson:"hidden"`
	}
	err := s.views.FindOne(ctx, byID(id)).Decode(&v)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return errNoView
	}
	if err != nil {
		return fmt.Errorf("look up a view: %w", err)
	}
	if v.Viewer != viewer {
		return errNoView
	}
	if v.Hidden {
		return nil
	}
	if wholeDay {
		day := dayOf(v.ViewedAt)
		err := s.hideAll(ctx, viewer, bson.E{Key: "videoId", Value: v.VideoID}, bson.E{Key: "viewedAt", Value: bson.D{
			{Key: "$gte", Value: day}, {Key: "$lt", Value: day.Add(24 * time.Hour)},
		}}, bson.E{Key: "_id", Value: bson.D{{Key: "$ne", Value: id}}})
		if err != nil {
			return fmt.Errorf("hide the other views of a day: %w", err)
		}
	}
	if _, err := s.views.ReplaceOne(ctx, byID(id), hidden{id, viewer, true}); err != nil {
		return fmt.Errorf("hide a view: %w", err)
	}
	if _, err := s.positions.Documents.DeleteOne(ctx, byID(positionID(viewer, v.VideoID))); err != nil {
		return fmt.Errorf("delete the position of a hidden view: %w", err)
	}
	return nil
}

// clear removes all views and positions of a viewer. It first notes the time, for the messages about earlier views that
// arrive later.
func (s *store) clear(ctx context.Context, viewer string, now time.Time) error {
	note := bson.D{{Key: "at", Value: now}}
	_, err := s.cleared.ReplaceOne(ctx, byID(viewer), note, options.Replace().SetUpsert(true))
	if err := database.IgnoreDuplicates(err); err != nil { // two at the same moment: either will do
		return fmt.Errorf("note that a history is cleared: %w", err)
	}
	if err := s.hideAll(ctx, viewer); err != nil {
		return fmt.Errorf("hide all views of a viewer: %w", err)
	}
	if err := s.positions.Documents.DeleteMany(ctx, bson.D{{Key: "viewer", Value: viewer}}); err != nil {
		return fmt.Errorf("delete all positions of a viewer: %w", err)
	}
	return nil
}

func byID(id string) bson.D { return bson.D{{Key: "_id", Value: id}} }
