package main

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// viewed is the message that a video was watched.
type viewed struct {
	ID       string    `json:"id" bson:"_id"`
	ViewedAt time.Time `json:"viewedAt" bson:"viewedAt"`
	Video    struct {
		ID string `json:"id" bson:"id"`
	} `json:"video" bson:"video"`
}

type store struct{ views *mongo.Collection }

// openStore does not wait for the database: the first operation does.
func openStore(url string) (*store, error) {
	client, err := mongo.Connect(options.Client().ApplyURI(url).SetTimeout(2 * time.Second))
	if err != nil {
		return nil, err
	}
	return &store{client.Database("history").Collection("views")}, nil
}

// add stores the message once, however often it comes.
func (s *store) add(v viewed) error {
	_, err := s.views.InsertOne(context.Background(), v)
	if mongo.IsDuplicateKeyError(err) {
		return nil
	}
	return err
}

func (s *store) list() ([]viewed, error) {
	cursor, err := s.views.Find(context.Background(), bson.M{})
	if err != nil {
		return nil, err
	}
	views := []viewed{}
	return views, cursor.All(context.Background(), &views)
}
