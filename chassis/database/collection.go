package database

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"golang.org/x/sync/errgroup"
)

// Collection is a mongo.Collection on which deleting many documents, and changing one document from several goroutines at
// the same time, work on FerretDB too. Its other methods are the driver's, unchanged.
type Collection struct {
	*mongo.Collection
	server *server
}

// All returns the documents that match filter: an empty list, not nil, if there are none.
func All[T any](ctx context.Context, c Collection, filter any, opts ...options.Lister[options.FindOptions]) ([]T, error) {
	found, err := c.Find(ctx, filter, opts...)
	if err != nil {
		return nil, err
	}
	return decode[T](ctx, found)
}

// Aggregate returns the documents that the pipeline results in: an empty list, not nil, if there are none.
func Aggregate[T any](ctx context.Context, c Collection, pipeline mongo.Pipeline) ([]T, error) {
	found, err := c.Aggregate(ctx, pipeline)
	if err != nil {
		return nil, err
	}
	return decode[T](ctx, found)
}

func decode[T any](ctx context.Context, found *mongo.Cursor) ([]T, error) {
	documents := []T{}
	if err := found.All(ctx, &documents); err != nil { // closes the cursor
		return nil, err
	}
	return documents, nil
}

// ByIDs returns the documents that have one of these ids, in any order: an empty list, not nil, if there are none. An id
// that is given twice may yield its document twice.
func ByIDs[T, ID any](ctx context.Context, c Collection, ids []ID) ([]T, error) {
	if len(ids) == 0 {
		return []T{}, nil
	}
	ferret, err := c.server.isFerretDB(ctx, c.Database())
	if err != nil {
		return nil, err
	}
	if ferret && len(ids) <= maxLookups {
		return oneByOne[T](ctx, c, ids)
	}
	return All[T](ctx, c, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}})
}

// maxLookups is how many ids FerretDB 1.24.2 finds faster one by one than together. It reads the whole collection either
// way: for {_id: x} alone SQLite does, ten times as fast as FerretDB does for any other filter. No index is used.
const maxLookups = 8

func oneByOne[T, ID any](ctx context.Context, c Collection, ids []ID) ([]T, error) {
	found := make([][]T, len(ids))
	group, ctx := errgroup.WithContext(ctx)
	for i, id := range ids {
		group.Go(func() (err error) {
			found[i], err = All[T](ctx, c, bson.D{{Key: "_id", Value: id}})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	documents := []T{}
	for _, f := range found {
		documents = append(documents, f...)
	}
	return documents, nil
}

// FindOneAndReplace is the driver's, atomic on FerretDB too.
func (c Collection) FindOneAndReplace(ctx context.Context, filter, replacement any, opts ...options.Lister[options.FindOneAndReplaceOptions]) *mongo.SingleResult {
	unlock, err := c.lock(ctx)
	if err != nil {
		return mongo.NewSingleResultFromDocument(bson.D{}, err, nil)
	}
	defer unlock()
	return c.Collection.FindOneAndReplace(ctx, filter, replacement, opts...)
}

// FindOneAndUpdate is the driver's, atomic on FerretDB too.
func (c Collection) FindOneAndUpdate(ctx context.Context, filter, update any, opts ...options.Lister[options.FindOneAndUpdateOptions]) *mongo.SingleResult {
	unlock, err := c.lock(ctx)
	if err != nil {
		return mongo.NewSingleResultFromDocument(bson.D{}, err, nil)
	}
	defer unlock()
	return c.Collection.FindOneAndUpdate(ctx, filter, update, opts...)
}

// ReplaceOne is the driver's, atomic on FerretDB too.
func (c Collection) ReplaceOne(ctx context.Context, filter, replacement any, opts ...options.Lister[options.ReplaceOptions]) (*mongo.UpdateResult, error) {
	unlock, err := c.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return c.Collection.ReplaceOne(ctx, filter, replacement, opts...)
}

// UpdateOne is the driver's, atomic on FerretDB too.
func (c Collection) UpdateOne(ctx context.Context, filter, update any, opts ...options.Lister[options.UpdateOneOptions]) (*mongo.UpdateResult, error) {
	unlock, err := c.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return c.Collection.UpdateOne(ctx, filter, update, opts...)
}

// UpdateMany is the driver's; each document's update is atomic on FerretDB too.
func (c Collection) UpdateMany(ctx context.Context, filter, update any, opts ...options.Lister[options.UpdateManyOptions]) (*mongo.UpdateResult, error) {
	unlock, err := c.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return c.Collection.UpdateMany(ctx, filter, update, opts...)
}

// lock is for a change of documents. FerretDB reads a document and then writes it: of two changes at the same time it
// loses one, without an error. There, the changes of this process take turns; those of other processes are still lost.
// MongoDB changes a document atomically, so there lock does nothing.
func (c Collection) lock(ctx context.Context) (unlock func(), err error) {
	ferret, err := c.server.isFerretDB(ctx, c.Database())
	if err != nil || !ferret {
		return func() {}, err
	}
	select {
	case c.server.changing <- struct{}{}:
		return func() { <-c.server.changing }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// deletedAtOnce bounds one delete: FerretDB 1.24.2 fails over more than 32766 documents.
const deletedAtOnce = 10_000

// DeleteMany deletes all documents that match, whose ids are strings, within an hour. If it fails, some of them may be
// deleted.
func (c Collection) DeleteMany(ctx context.Context, filter bson.D) error {
	ctx, cancel := context.WithTimeout(ctx, longOperation)
	defer cancel()
	ferret, err := c.server.isFerretDB(ctx, c.Database())
	if err != nil {
		return err
	}
	for ferret {
		last, err := c.lastOfPart(ctx, filter)
		if err != nil {
			return fmt.Errorf("look up what to delete: %w", err)
		}
		if last == nil {
			break // the rest is small enough
		}
		part := bson.D{{Key: "$and", Value: bson.A{filter, bson.D{{Key: "_id", Value: bson.D{{Key: "$lte", Value: last}}}}}}}
		if _, err := c.Collection.DeleteMany(ctx, part); err != nil {
			return err
		}
	}
	_, err = c.Collection.DeleteMany(ctx, filter)
	return err
}

// lastOfPart returns the id of the last document that one delete may have, or nil if all that match may go at once.
func (c Collection) lastOfPart(ctx context.Context, filter bson.D) (id any, err error) {
	found, err := All[struct {
		ID any `bson:"_id"`
	}](ctx, c, filter, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}).SetSkip(deletedAtOnce-1).SetLimit(1).
		SetProjection(bson.D{{Key: "_id", Value: 1}}))
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0].ID, nil
}

// longOperation is the timeout of commands whose time depends on how many documents there are: making an index, and
// deleting many. The server aborts one that takes longer.
const longOperation = time.Hour
