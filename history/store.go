package main

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"flixtube/chassis/database"
)

// view is one line of somebody's history.
type view struct {
	ID       string    `bson:"_id" json:"_id"`
	VideoID  string    `bson:"videoId" json:"videoId"`
	ViewedAt time.Time `bson:"viewedAt" json:"viewedAt"`
	Viewer   string    `bson:"viewer" json:"viewer"`
}

func newView(v viewed) view {
	return view{ID: v.ID, VideoID: v.Video.ID, ViewedAt: v.ViewedAt, Viewer: v.Viewer.ID}
}

// store keeps views under the id of their message.
type store struct {
	views *mongo.Collection
	facts database.Facts
}

func newStore(db database.Database) *store {
	views := db.Collection("history")
	return &store{views, database.Facts{Documents: views, Removed: db.Collection("removed"), Subject: "videoId"}}
}

// ready makes the indexes, which also shows that the database answers.
func (s *store) ready(ctx context.Context) error {
	return database.Indexes(ctx, s.views,
		bson.D{{Key: "viewedAt", Value: -1}, {Key: "_id", Value: 1}},
		bson.D{{Key: "viewer", Value: 1}, {Key: "viewedAt", Value: -1}, {Key: "_id", Value: 1}},
		bson.D{{Key: "videoId", Value: 1}},
	)
}

// record stores views; those that it has already are left as they are.
func (s *store) record(ctx context.Context, views []viewed) error {
	documents := make([]view, len(views))
	videos := make([]string, len(views))
	for i, v := range views {
		documents[i] = newView(v)
		videos[i] = v.Video.ID
	}
	return s.facts.Insert(ctx, documents, videos)
}

// list returns views, newest first: those of one viewer, or everybody's if viewer is empty.
func (s *store) list(ctx context.Context, viewer string, skip, limit int64) ([]view, error) {
	filter := bson.D{}
	if viewer != "" {
		filter = bson.D{{Key: "viewer", Value: viewer}}
	}
	views := []view{}
	if limit == 0 {
		return views, nil // to MongoDB a limit of 0 is no limit
	}
	found, err := s.views.Find(ctx, filter, options.Find().SetSkip(skip).SetLimit(limit).
		SetSort(bson.D{{Key: "viewedAt", Value: -1}, {Key: "_id", Value: 1}}))
	if err == nil {
		err = found.All(ctx, &views)
	}
	if err != nil {
		return nil, fmt.Errorf("list views: %w", err)
	}
	return views, nil
}
