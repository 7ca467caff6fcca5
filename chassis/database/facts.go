package database

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Facts are documents about subjects that may be removed for good. Each is inserted under an id (a string) that makes
// the same fact twice one document, and the subjects that are gone are remembered, so that a fact that arrives after
// its subject's removal does not stay. Repeating a call or changing the order of calls changes nothing in the end, as
// long as whoever changes a document otherwise leaves its id and its subject alone.
type Facts struct {
	Documents *mongo.Collection // with an index on Subject and _id, in this order, which its owner makes: see delete
	Removed   *mongo.Collection // the ids of the subjects that are gone
	Subject   string            // the field of a document that holds its subject's id
}

// Insert stores documents, which are about subjects; those that are there already are left as they are.
func (f Facts) Insert(ctx context.Context, documents any, subjects []string) error {
	_, err := f.Documents.InsertMany(ctx, documents, options.InsertMany().SetOrdered(false))
	if err := IgnoreDuplicates(err); err != nil {
		return fmt.Errorf("insert into %s: %w", f.Documents.Name(), err)
	}
	var gone []struct {
		ID string `bson:"_id"`
	}
	subjects = slices.Compact(slices.Sorted(slices.Values(subjects))) // a batch is about few
	found, err := f.Removed.Find(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: subjects}}}})
	if err == nil {
		err = found.All(ctx, &gone)
	}
	if err != nil {
		return fmt.Errorf("look up what was removed: %w", err)
	}
	for _, subject := range gone {
		if err := f.delete(ctx, subject.ID); err != nil {
			return err
		}
	}
	return nil
}

// Forget deletes all facts about subjects. The note that they are gone comes first: a fact that is inserted
// meanwhile finds either the note or the deletion.
func (f Facts) Forget(ctx context.Context, subjects []string) error {
	notes := make([]bson.D, len(subjects))
	for i, id := range subjects {
		notes[i] = bson.D{{Key: "_id", Value: id}}
	}
	_, err := f.Removed.InsertMany(ctx, notes, options.InsertMany().SetOrdered(false))
	if err := IgnoreDuplicates(err); err != nil {
		return fmt.Errorf("note what was removed: %w", err)
	}
	for _, id := range subjects {
		if err := f.delete(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// deletedAtOnce bounds one delete: FerretDB 1.24.2 fails over more than 32766 documents.
const deletedAtOnce = 10_000

// delete finds the end of each part in the index on Subject and _id alone, without which MongoDB would fetch and sort
// all that is left each time.
func (f Facts) delete(ctx context.Context, subject string) error {
	for more := true; more; {
		part := bson.D{{Key: f.Subject, Value: subject}}
		var last struct {
			ID string `bson:"_id"`
		}
		err := f.Documents.FindOne(ctx, part, options.FindOne().SetSort(bson.D{{Key: "_id", Value: 1}}).
			SetSkip(deletedAtOnce-1).SetProjection(bson.D{{Key: "_id", Value: 1}})).Decode(&last)
		switch {
		case err == nil:
			part = append(part, bson.E{Key: "_id", Value: bson.D{{Key: "$lte", Value: last.ID}}})
		case errors.Is(err, mongo.ErrNoDocuments):
			more = false
		default:
			return fmt.Errorf("look up what to delete from %s: %w", f.Documents.Name(), err)
		}
		if _, err := f.Documents.DeleteMany(ctx, part); err != nil {
			return fmt.Errorf("delete from %s: %w", f.Documents.Name(), err)
		}
	}
	return nil
}
