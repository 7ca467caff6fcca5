package database

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"flixtube/chassis/chassistest"
)

// TestCommands looks at what is sent: each write waits for the journal, and an index may take longer to make than
// anything else may take.
func TestCommands(t *testing.T) {
	var mu sync.Mutex
	sent := map[string]bson.Raw{}
	client, err := mongo.Connect(clientOptions(chassistest.Mongo(t)).SetMonitor(&event.CommandMonitor{
		Started: func(_ context.Context, e *event.CommandStartedEvent) {
			mu.Lock()
			defer mu.Unlock()
			sent[e.CommandName] = slices.Clone(e.Command)
		},
	}))
	if err != nil {
		t.Fatal(err)
	}
	db := Database{client.Database("commands_" + strings.ToLower(rand.Text()))}
	t.Cleanup(func() {
		_ = db.Drop(context.WithoutCancel(t.Context()))
		db.Close()
	})
	c := db.Collection("facts")
	byID := bson.D{{Key: "_id", Value: "x"}}
	if err := Ready(t.Context(), c, bson.D{{Key: "about", Value: 1}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.InsertOne(t.Context(), byID); err != nil {
		t.Fatal(err)
	}
	if err := c.FindOneAndDelete(t.Context(), byID).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.DeleteOne(t.Context(), byID); err != nil {
		t.Fatal(err)
	}

	mu.Lock()
	defer mu.Unlock()
	for _, name := range []string{"insert", "update", "delete", "findAndModify"} {
		if j, ok := sent[name].Lookup("writeConcern", "j").BooleanOK(); !ok || !j {
			t.Errorf("%s does not wait for the journal: %s", name, sent[name])
		}
	}
	limit := time.Duration(sent["createIndexes"].Lookup("maxTimeMS").AsInt64()) * time.Millisecond
	if limit < 30*time.Minute {
		t.Errorf("the index must be made within %v", limit)
	}
}
