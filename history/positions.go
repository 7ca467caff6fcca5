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
)

// position is where a viewer stopped watching a video, both in seconds.
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

// savePosition replaces the viewer's position in a video as a whole: of two that come at the same time one
// stands, and nothing is mixed of both.
func (s *store) savePosition(ctx context.Context, p position) error {
	p.ID = positionID(p.Viewer, p.VideoID)
	positions := s.positions.Documents
	_, err := positions.ReplaceOne(ctx, byID(p.ID), p, options.Replace().SetUpsert(true))
	if err := database.IgnoreDuplicates(err); err != nil { // duplicate: the other one stands
		return fmt.Errorf("save a position: %w", err)
	}
	// As with views: a position that comes after its video's removal does not stay.
	err = s.positions.Removed.FindOne(ctx, byID(p.VideoID)).Err()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return nil
	}
	if err == nil {
		_, err = positions.DeleteOne(ctx, byID(p.ID))
	}
	if err != nil {
		return fmt.Errorf("look up what was removed: %w", err)
	}
	return nil
}

// position returns the viewer's position in a video, or false.
func (s *store) position(ctx context.Context, viewer, video string) (position, bool, error) {
	var p position
	err := s.positions.Documents.FindOne(ctx, byID(positionID(viewer, video))).Decode(&p)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return p, false, nil
	}
	if err != nil {
		return p, false, fmt.Errorf("look up a position: %w", err)
	}
	return p, true, nil
}

// listPositions returns the viewer's positions, the last saved first.
func (s *store) listPositions(ctx context.Context, viewer string, skip, limit int64) ([]position, error) {
	if limit == 0 {
		return []position{}, nil // to MongoDB a limit of 0 is no limit
	}
	return s.findPositions(ctx, bson.D{{Key: "viewer", Value: viewer}}, options.Find().SetSkip(skip).SetLimit(limit).
		SetSort(bson.D{{Key: "savedAt", Value: -1}, {Key: "_id", Value: 1}}))
}

// addPositions completes views of one viewer.
func (s *store) addPositions(ctx context.Context, viewer string, views []view) error {
	ids := bson.A{}
	for _, v := range views {
		ids = append(ids, positionID(viewer, v.VideoID))
	}
	found, err := s.findPositions(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}}, options.Find())
	if err != nil {
		return err
	}
	byVideo := map[string]position{}
	for _, p := range found {
		byVideo[p.VideoID] = p
	}
	for i := range views {
		p := byVideo[views[i].VideoID]
		views[i].Position, views[i].Duration = p.Position, p.Duration
	}
	return nil
}

func (s *store) findPositions(ctx context.Context, filter bson.D, find *options.FindOptionsBuilder) ([]position, error) {
	positions := []position{}
	found, err := s.positions.Documents.Find(ctx, filter, find)
	if err == nil {
		err = found.All(ctx, &positions)
	}
	if err != nil {
		return nil, fmt.Errorf("list positions: %w", err)
	}
	return positions, nil
}

// byID is the one filter for which FerretDB uses its index.
func byID(id string) bson.D { return bson.D{{Key: "_id", Value: id}} }
