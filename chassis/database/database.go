// Package database connects a service to its own MongoDB database.
package database

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"flixtube/chassis/health"
)

// Database is a service's own database.
type Database struct{ *mongo.Database }

// Connect returns the database called name at a mongodb:// address, without waiting for the server: one that
// is not there yet is an error of the operations, within five seconds each. The caller closes it.
func Connect(address, name string) (Database, error) {
	client, err := mongo.Connect(clientOptions(address))
	if err != nil {
		return Database{}, fmt.Errorf("DBHOST: %w", err)
	}
	return Database{client.Database(name)}, nil
}

// clientOptions make a write wait for the journal: a single mongod otherwise acknowledges what it has in memory only. Of
// how many members of a replica set, is that set's own default.
func clientOptions(address string) *options.ClientOptions {
	return options.Client().ApplyURI(address).
		SetServerSelectionTimeout(5 * time.Second).
		SetTimeout(15 * time.Second).
		SetWriteConcern(writeconcern.Journaled())
}

// Ping is nil when the server answers.
func (d Database) Ping(ctx context.Context) error {
	return d.Client().Ping(ctx, nil)
}

// Check is the database in a service's /readyz.
func Check(d Database) health.Check {
	return health.Check{Name: "database", Required: true, Probe: d.Ping}
}

// Close ends the connections; work in progress may take up to five seconds.
func (d Database) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return d.Client().Disconnect(ctx)
}

// IgnoreDuplicates is what makes inserting a fact idempotent: it returns nil if the only thing wrong with an
// insert is that documents with the same unique key were there already.
func IgnoreDuplicates(err error) error {
	var bulk mongo.BulkWriteException
	if errors.As(err, &bulk) {
		if bulk.WriteConcernError != nil {
			return err
		}
		for _, e := range bulk.WriteErrors {
			if e.Code != duplicateKey {
				return err
			}
		}
		return nil
	}
	if mongo.IsDuplicateKeyError(err) {
		return nil
	}
	return err
}

const duplicateKey = 11000

// indexTime is how long one index may take to make. The server aborts one that takes longer, and what it did is lost.
const indexTime = time.Hour

// Ready makes the indexes that c lacks and returns nil if the database takes writes: one whose disk is full, or that has
// lost its primary, may still answer to Ping.
func Ready(ctx context.Context, c *mongo.Collection, keys ...bson.D) error {
	for _, k := range keys { // one at a time: FerretDB 1.24.2 panics over a list of which several are there already
		making, cancel := context.WithTimeout(ctx, indexTime)
		_, err := c.Indexes().CreateOne(making, mongo.IndexModel{Keys: k})
		cancel()
		if err != nil {
			return fmt.Errorf("make the indexes of %s: %w", c.Name(), err)
		}
	}
	_, err := c.Database().Collection("probes").ReplaceOne(ctx, bson.D{{Key: "_id", Value: c.Name()}},
		bson.D{{Key: "at", Value: time.Now().UTC()}}, options.Replace().SetUpsert(true))
	if err := IgnoreDuplicates(err); err != nil { // two that insert it at once
		return fmt.Errorf("try a write: %w", err)
	}
	return nil
}
