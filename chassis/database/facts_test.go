package database_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"golang.org/x/sync/errgroup"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/database"
)

func newFacts(t *testing.T) database.Facts {
	t.Helper()
	db, err := database.Connect(chassistest.Mongo(t), "facts_"+strings.ToLower(rand.Text()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = db.Drop(context.WithoutCancel(t.Context()))
		db.Close()
	})
	return database.Facts{Documents: db.Collection("facts"), Removed: db.Collection("removed"), Subject: "about"}
}

func fact(id, subject string) bson.D {
	return bson.D{{Key: "_id", Value: id}, {Key: "about", Value: subject}}
}

// TestInsertAndForgetAtTheSameTime looks for a fact that stays, inserted between the note that its subject is removed and the
// deletion of its facts.
func TestInsertAndForgetAtTheSameTime(t *testing.T) {
	facts := newFacts(t)
	for i := range 20 {
		subject := fmt.Sprint("subject-", i)
		var group errgroup.Group
		group.Go(func() error { return facts.Insert(t.Context(), []bson.D{fact(subject, subject)}, []string{subject}) })
		group.Go(func() error { return facts.Forget(t.Context(), []string{subject}) })
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := facts.Documents.CountDocuments(t.Context(), bson.D{}); err != nil || left > 0 {
		t.Errorf("%d facts about removed subjects stay, %v", left, err)
	}
}

// TestForgetMany: more facts about one subject than FerretDB 1.24.2 deletes with one command.
func TestForgetMany(t *testing.T) {
	facts := newFacts(t)
	insert := func(subject string, from, to int) {
		t.Helper()
		var documents []bson.D
		for i := from; i < to; i++ {
			documents = append(documents, fact(fmt.Sprint(subject, i), subject))
		}
		if err := facts.Insert(t.Context(), documents, []string{subject}); err != nil {
			t.Fatal(err)
		}
	}
	insert("stays", 0, 2)
	for i := range 33 {
		insert("goes", i*1000, (i+1)*1000)
	}
	if err := facts.Forget(t.Context(), []string{"goes"}); err != nil {
		t.Fatal(err)
	}
	left, err := facts.Documents.CountDocuments(t.Context(), bson.D{})
	if err != nil || left != 2 {
		t.Errorf("%d facts are left, %v", left, err)
	}
	insert("goes", 0, 10) // they come late
	left, err = facts.Documents.CountDocuments(t.Context(), bson.D{})
	if err != nil || left != 2 {
		t.Errorf("%d facts are left after late ones, %v", left, err)
	}
}
