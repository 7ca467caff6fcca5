package database

import (
	"context"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Facts are documents about subjects that may be removed for good. The id of a document (a string) is the id of its fact, so
// that inserting a fact twice leaves one document. The ids of removed subjects are kept, so that a fact that arrives after
// its subject's removal does not stay. Calls may be repeated and may come in any order: the documents in the end are the
// same, as long as other changes of a document leave its id and its subject alone.
type Facts struct {
	Documents Collection // the owner makes an index that begins with Subject
	Removed   Collection // one document for each removed subject, with its id
	Subject   string     // the field of a document that holds its subject's id
}

// Insert stores documents, which are about subjects; those that exist already are left as they are.
func (f Facts) Insert(ctx context.Context, documents any, subjects []string) error {
	_, err := f.Documents.InsertMany(ctx, documents, options.InsertMany().SetOrdered(false))
	if err := IgnoreDuplicates(err); err != nil {
		return fmt.Errorf("insert into %s: %w", f.Documents.Name(), err)
	}
	subjects = slices.Compact(slices.Sorted(slices.Values(subjects))) // a batch is about few
	removed, err := ByIDs[struct {
		ID string `bson:"_id"`
	}](ctx, f.Removed, subjects)
	if err != nil {
		return fmt.Errorf("look up removed subjects: %w", err)
	}
	for _, subject := range removed {
		if err := f.delete(ctx, subject.ID); err != nil {
			return err
		}
	}
	return nil
}

// Forget deletes all facts about subjects. It first notes that they are removed: a fact that is inserted meanwhile is
// deleted here, or finds the note and is deleted by Insert.
func (f Facts) Forget(ctx context.Context, subjects []string) error {
	notes := make([]bson.D, len(subjects))
	for i, id := range subjects {
		notes[i] = bson.D{{Key: "_id", Value: id}}
	}
	_, err := f.Removed.InsertMany(ctx, notes, options.InsertMany().SetOrdered(false))
	if err := IgnoreDuplicates(err); err != nil {
		return fmt.Errorf("note removed subjects: %w", err)
	}
	for _, id := range subjects {
		if err := f.delete(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

func (f Facts) delete(ctx context.Context, subject string) error {
	if err := f.Documents.DeleteMany(ctx, bson.D{{Key: f.Subject, Value: subject}}); err != nil {
		return fmt.Errorf("delete from %s: %w", f.Documents.Name(), err)
	}
	return nil
}
