// Package database connects a service to its own database: MongoDB, or FerretDB 1.24.2, whose limits it works around. It
// asks the server once which of the two it is; the services do not know.
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
type Database struct {
	*mongo.Database
	server *server
}

// Connect returns the database called name at a mongodb:// address, without waiting for the server: while it is not
// available, each operation fails within five seconds. The caller closes the database.
func Connect(address, name string) (Database, error) {
	client, err := mongo.Connect(clientOptions(address))
	if err != nil {
		return Database{}, fmt.Errorf("DBHOST: %w", err)
	}
	return Database{client.Database(name), newServer()}, nil
}

// Collection returns the collection called name.
func (d Database) Collection(name string) Collection {
	return Collection{d.Database.Collection(name), d.server}
}

// clientOptions make a write wait for the journal: otherwise a single mongod acknowledges a write that is only in its
// memory. How many members of a replica set have to have it is the default of that set.
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

// IgnoreDuplicates makes inserting a fact idempotent: it returns nil if the only errors of an insert are that documents
// with the same unique key exist already.
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

// Ready creates the indexes that c does not have yet, within an hour each, and returns nil if the database accepts
// writes: a database whose disk is full, or without a primary, may still answer a Ping.
func Ready(ctx context.Context, c Collection, keys ...bson.D) error {
	for _, k := range keys { // one at a time: FerretDB 1.24.2 panics over a list of which several exist already
		making, cancel := context.WithTimeout(ctx, longOperation)
		_, err := c.Indexes().CreateOne(making, mongo.IndexModel{Keys: k})
		cancel()
		if err != nil {
			return fmt.Errorf("create an index of %s: %w", c.Name(), err)
		}
	}
	_, err := c.Database().Collection("probes").ReplaceOne(ctx, bson.D{{Key: "_id", Value: c.Name()}},
		bson.D{{Key: "at", Value: time.Now().UTC()}}, options.Replace().SetUpsert(true))
	if err := IgnoreDuplicates(err); err != nil { // two that insert it at once
		return fmt.Errorf("try a write: %w", err)
	}
	return nil
}
