package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"flixtube/chassis/database"
	"flixtube/contracts/limits"
)

// position is where a viewer stopped watching a video, and the video's duration, both in seconds.
type position struct {
	ID       string    `bson:"_id" json:"-"`
	VideoID  string    `bson:"videoId" json:"videoId"`
	Viewer   string    `bson:"viewer" json:"-"`
	Position float64   `bson:"position" json:"position"`
	Duration float64   `bson:"duration" json:"duration"`
	SavedAt  time.Time `bson:"savedAt" json:"savedAt"`
}

// positionID is unambiguous: no viewer's id has a slash.
func positionID(viewer, video string) string { return viewer + "/" + video }

// savePosition replaces the viewer's whole position in a video: of two at the same time one stays, and they do not mix. Of a
// viewer's positions the last limits.Positions stay.
func (s *store) savePosition(ctx context.Context, p position) error {
	p.ID = positionID(p.Viewer, p.VideoID)
	saved, err := s.positions.Documents.ReplaceOne(ctx, byID(p.ID), p, options.Replace().SetUpsert(true))
	if err := database.IgnoreDuplicates(err); err != nil { // a duplicate: the other one stays
		return fmt.Errorf("save a position: %w", err)
	}
	if saved != nil && saved.UpsertedCount > 0 {
		if err := s.deleteOldPositions(ctx, p.Viewer); err != nil {
			return fmt.Errorf("delete old positions: %w", err)
		}
	}
	// As with views: a position that arrives after its video's removal does not stay.
	err = s.positions.Removed.FindOne(ctx, byID(p.VideoID)).Err()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look up if a video is removed: %w", err)
	}
	if _, err := s.positions.Documents.DeleteOne(ctx, byID(p.ID)); err != nil {
		return fmt.Errorf("delete the position in a removed video: %w", err)
	}
	return nil
}

// deleteOldPositions deletes those that were saved before the last limits.Positions.
func (s *store) deleteOldPositions(ctx context.Context, viewer string) error {
	oldest, err := s.listPositions(ctx, viewer, limits.Positions-1, 1)
	if err != nil || len(oldest) == 0 {
		return err
	}
	return s.positions.Documents.DeleteMany(ctx, bson.D{
		{Key: "viewer", Value: viewer}, {Key: "savedAt", Value: bson.D{{Key: "$lt", Value: oldest[0].SavedAt}}},
	})
}

// position returns the viewer's position in a video, or errNoPosition.
func (s *store) position(ctx context.Context, viewer, video string) (position, error) {
	var p position
	err := s.positions.Documents.FindOne(ctx, byID(positionID(viewer, video))).Decode(&p)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return position{}, errNoPosition
	}
	if err != nil {
		return position{}, fmt.Errorf("look up a position: %w", err)
	}
	return p, nil
}

// listPositions returns the viewer's positions, the last saved first.
func (s *store) listPositions(ctx context.Context, viewer string, skip, limit int64) ([]position, error) {
	if limit == 0 {
		return []position{}, nil // for MongoDB a limit of 0 is no limit
	}
	positions, err := database.All[position](ctx, s.positions.Documents, bson.D{{Key: "viewer", Value: viewer}},
		options.Find().SetSkip(skip).SetLimit(limit).SetSort(bson.D{{Key: "savedAt", Value: -1}, {Key: "_id", Value: 1}}))
	if err != nil {
		return nil, fmt.Errorf("list positions: %w", err)
	}
	return positions, nil
}

// addPositions sets the position and duration of views, which are all of one viewer.
func (s *store) addPositions(ctx context.Context, viewer string, views []view) error {
	ids := make([]string, len(views))
	for i, v := range views {
		ids[i] = positionID(viewer, v.VideoID)
	}
	positions, err := database.ByIDs[position](ctx, s.positions.Documents, ids)
	if err != nil {
		return err
	}
	byVideo := map[string]position{}
	for _, p := range positions {
		byVideo[p.VideoID] = p
	}
	for i := range views {
		p := byVideo[views[i].VideoID]
		views[i].Position, views[i].Duration = p.Position, p.Duration
	}
	return nil
}
