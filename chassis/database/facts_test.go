package database_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/database"
)

// TestForgetMany: more facts about one subject than FerretDB deletes with one command.
func TestForgetMany(t *testing.T) {
	db, err := database.Connect(chassistest.Mongo(t), "facts_"+strings.ToLower(rand.Text()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = db.Drop(context.WithoutCancel(t.Context()))
		db.Close()
	})
	facts := database.Facts{Documents: db.Collection("facts"), Removed: db.Collection("removed"), Subject: "about"}
	insert := func(subject string, from, to int) {
		t.Helper()
		var documents []bson.D
		for i := from; i < to; i++ {
			documents = append(documents, bson.D{{Key: "_id", Value: fmt.Sprint(subject, i)}, {Key: "about", Value: subject}})
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
