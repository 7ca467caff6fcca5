package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"flixtube/chassis/database"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

// view is one line of somebody's history.
type view struct {
	ID       string    `bson:"_id" json:"_id"`
	VideoID  string    `bson:"videoId" json:"videoId"`
	ViewedAt time.Time `bson:"viewedAt" json:"viewedAt"`
	Viewer   string    `bson:"viewer" json:"viewer"`

	// How far the viewer came, in seconds, is joined from the positions when somebody's own views are listed.
	Position float64 `bson:"-" json:"position,omitempty"`
	Duration float64 `bson:"-" json:"duration,omitempty"`
}

// hidden is what stays of a view that its viewer has removed: its id, so that a message that comes late, or
// again, does not bring it back.
type hidden struct {
	ID     string `bson:"_id"`
	Viewer string `bson:"viewer"`
	Hidden bool   `bson:"hidden"`
}

// notHidden is written so that it finds documents without the field.
var notHidden = bson.E{Key: "hidden", Value: bson.D{{Key: "$ne", Value: true}}}

var errNoView = web.Errorf(http.StatusNotFound, codes.ViewNotFound, "there is no such view")

func newView(v viewed) view {
	return view{ID: v.ID, VideoID: v.Video.ID, ViewedAt: v.ViewedAt, Viewer: v.Viewer.ID}
}

// store keeps views under the id of their message, one position for each viewer and video, and when a viewer
// last cleared the history.
type store struct {
	views, cleared   *mongo.Collection
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

// ready makes the indexes, which also shows that the database takes writes.
func (s *store) ready(ctx context.Context) error {
	err := database.Ready(ctx, s.positions.Documents,
		bson.D{{Key: "viewer", Value: 1}, {Key: "savedAt", Value: -1}, {Key: "_id", Value: 1}},
		bson.D{{Key: "videoId", Value: 1}, {Key: "_id", Value: 1}}, // deleted in parts, by _id
	)
	if err != nil {
		return err
	}
	return database.Ready(ctx, s.views,
		bson.D{{Key: "viewedAt", Value: -1}, {Key: "_id", Value: 1}},
		bson.D{{Key: "viewer", Value: 1}, {Key: "viewedAt", Value: -1}, {Key: "_id", Value: 1}},
		bson.D{{Key: "videoId", Value: 1}, {Key: "_id", Value: 1}}, // deleted in parts, by _id
	)
}

// record stores views; those that it has already are left as they are, and those from before their viewer cleared the
// history are hidden at once.
func (s *store) record(ctx context.Context, views []viewed) error {
	documents := make([]view, len(views))
	videos := make([]string, len(views))
	for i, v := range views {
		documents[i] = newView(v)
		videos[i] = v.Video.ID
	}
	if err := s.facts.Insert(ctx, documents, videos); err != nil {
		return err
	}
	return s.hideLate(ctx, views)
}

// hideLate comes after the views are stored: a clear at the same time either finds them or has left its note.
func (s *store) hideLate(ctx context.Context, views []viewed) error {
	oldest := map[string]time.Time{} // view of each viewer
	for _, v := range views {
		if at, known := oldest[v.Viewer.ID]; !known || v.ViewedAt.Before(at) {
			oldest[v.Viewer.ID] = v.ViewedAt
		}
	}
	var notes []struct {
		Viewer string    `bson:"_id"`
		At     time.Time `bson:"at"`
	}
	found, err := s.cleared.Find(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: slices.Collect(maps.Keys(oldest))}}}})
	if err == nil {
		err = found.All(ctx, &notes)
	}
	for _, note := range notes {
		// To the millisecond, as the database has both.
		if err == nil && oldest[note.Viewer].UnixMilli() <= note.At.UnixMilli() {
			err = s.hideAll(ctx, note.Viewer, bson.E{Key: "viewedAt", Value: bson.D{{Key: "$lte", Value: note.At}}})
		}
	}
	if err != nil {
		return fmt.Errorf("hide what was cleared before it came: %w", err)
	}
	return nil
}

// hideAll leaves of a viewer's views, those that match, what hidden has.
func (s *store) hideAll(ctx context.Context, viewer string, match ...bson.E) error {
	_, err := s.views.UpdateMany(ctx, append(bson.D{{Key: "viewer", Value: viewer}, notHidden}, match...), bson.D{
		{Key: "$set", Value: bson.D{{Key: "hidden", Value: true}}},
		{Key: "$unset", Value: bson.D{{Key: "videoId", Value: ""}, {Key: "viewedAt", Value: ""}}},
	})
	return err
}

// list returns views, newest first: those of one viewer, or everybody's if viewer is empty.
func (s *store) list(ctx context.Context, viewer string, skip, limit int64) ([]view, error) {
	views := []view{}
	if limit == 0 {
		return views, nil // to MongoDB a limit of 0 is no limit
	}
	filter := bson.D{notHidden}
	if viewer != "" {
		filter = bson.D{{Key: "viewer", Value: viewer}, notHidden}
	}
	found, err := s.views.Find(ctx, filter, options.Find().SetSkip(skip).SetLimit(limit).
		SetSort(bson.D{{Key: "viewedAt", Value: -1}, {Key: "_id", Value: 1}}))
	if err == nil {
		err = found.All(ctx, &views)
	}
	if err != nil {
		return nil, fmt.Errorf("list views: %w", err)
	}
	if viewer != "" {
		err = s.addPositions(ctx, viewer, views)
	}
	return views, err
}

// forget drops all that is known about removed videos.
func (s *store) forget(ctx context.Context, videos []string) error {
	if err := s.facts.Forget(ctx, videos); err != nil {
		return err
	}
	return s.positions.Forget(ctx, videos)
}

// hide removes one view from its viewer's history, and the position in its video. Hiding what is hidden is not
// an error.
func (s *store) hide(ctx context.Context, viewer, id string) error {
	var v struct {
		VideoID string `bson:"videoId"`
		Viewer  string `bson:"viewer"`
		Hidden  bool   `bson:"hidden"`
	}
	err := s.views.FindOne(ctx, byID(id)).Decode(&v)
	if errors.Is(err, mongo.ErrNoDocuments) || err == nil && v.Viewer != viewer {
		return errNoView
	}
	if err == nil && v.Hidden {
		return nil
	}
	if err == nil {
		_, err = s.views.ReplaceOne(ctx, byID(id), hidden{id, viewer, true})
	}
	if err == nil {
		_, err = s.positions.Documents.DeleteOne(ctx, byID(positionID(viewer, v.VideoID)))
	}
	if err != nil {
		return fmt.Errorf("hide a view: %w", err)
	}
	return nil
}

// clear removes all views and positions of a viewer. The note comes first: it is for views from before that are still
// on their way.
func (s *store) clear(ctx context.Context, viewer string, now time.Time) error {
	_, err := s.cleared.ReplaceOne(ctx, byID(viewer), bson.D{{Key: "at", Value: now}}, options.Replace().SetUpsert(true))
	err = database.IgnoreDuplicates(err) // of two at the same moment either will do
	if err == nil {
		err = s.hideAll(ctx, viewer)
	}
	if err == nil {
		_, err = s.positions.Documents.DeleteMany(ctx, bson.D{{Key: "viewer", Value: viewer}})
	}
	if err != nil {
		return fmt.Errorf("clear a history: %w", err)
	}
	return nil
}
