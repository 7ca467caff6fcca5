package database

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"golang.org/x/sync/errgroup"

	"flixtube/chassis/chassistest"
)

// commands are those that a test has sent.
type commands struct {
	mu   sync.Mutex
	sent []*event.CommandStartedEvent
}

func (c *commands) started(_ context.Context, e *event.CommandStartedEvent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	started := *e
	started.Command = slices.Clone(e.Command)
	c.sent = append(c.sent, &started)
}

// named returns those with this name.
func (c *commands) named(name string) (named []bson.Raw) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.sent {
		if e.CommandName == name {
			named = append(named, e.Command)
		}
	}
	return named
}

// monitored returns a database of its own, and the commands that are sent to it.
func monitored(t *testing.T) (Database, *commands) {
	t.Helper()
	sent := &commands{}
	client, err := mongo.Connect(clientOptions(chassistest.Mongo(t)).SetMonitor(&event.CommandMonitor{Started: sent.started}))
	if err != nil {
		t.Fatal(err)
	}
	db := Database{client.Database("commands_" + strings.ToLower(rand.Text())), newServer()}
	t.Cleanup(func() {
		_ = db.Drop(context.WithoutCancel(t.Context()))
		db.Close()
	})
	return db, sent
}

// monitoredAs makes the test take the server for another product, whatever it is: both understand both ways.
func monitoredAs(t *testing.T, product int32) (Collection, *commands) {
	t.Helper()
	db, sent := monitored(t)
	db.server.product.Store(product)
	return db.Collection("facts"), sent
}

func byID(id string) bson.D { return bson.D{{Key: "_id", Value: id}} }

// TestTimeoutsAndJournal looks at the commands that are sent: each write waits for the journal, and creating an index or
// deleting many documents has a longer timeout than anything else.
func TestTimeoutsAndJournal(t *testing.T) {
	db, sent := monitored(t)
	c := db.Collection("facts")
	if err := Ready(t.Context(), c, bson.D{{Key: "about", Value: 1}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.InsertOne(t.Context(), byID("x")); err != nil {
		t.Fatal(err)
	}
	if err := c.FindOneAndDelete(t.Context(), byID("x")).Err(); err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteMany(t.Context(), byID("x")); err != nil {
		t.Fatal(err)
	}

	for _, name := range []string{"insert", "update", "delete", "findAndModify"} {
		for _, command := range sent.named(name) {
			if j, ok := command.Lookup("writeConcern", "j").BooleanOK(); !ok || !j {
				t.Errorf("%s does not wait for the journal: %s", name, command)
			}
		}
	}
	timeout := func(name string) time.Duration {
		all := sent.named(name)
		if len(all) == 0 {
			t.Fatalf("no %s was sent", name)
		}
		return time.Duration(all[0].Lookup("maxTimeMS").AsInt64()) * time.Millisecond
	}
	for _, name := range []string{"createIndexes", "delete"} {
		if got := timeout(name); got < 30*time.Minute {
			t.Errorf("%s must end within %v", name, got)
		}
	}
	if got := timeout("insert"); got == 0 || got > time.Minute {
		t.Errorf("insert may take %v", got)
	}
}

func TestServerIsAskedOnce(t *testing.T) {
	db, sent := monitored(t)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := db.server.isFerretDB(canceled, db.Database); !errors.Is(err, context.Canceled) {
		t.Errorf("without an answer: %v", err)
	}
	c := db.Collection("facts")
	for range 3 {
		if _, err := ByIDs[bson.D](t.Context(), c, []string{"x"}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.UpdateOne(t.Context(), byID("x"), bson.D{{Key: "$set", Value: bson.D{{Key: "a", Value: 1}}}}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(sent.named("buildInfo")); n != 1 {
		t.Errorf("buildInfo was sent %d times", n)
	}
}

func TestProductOf(t *testing.T) {
	for want, answer := range map[int32]bson.D{
		ferretDB: {
			{Key: "version", Value: "7.0.42"}, {Key: "ferretdbVersion", Value: "v1.24.2"}, {Key: "ok", Value: 1.0},
		},
		mongoDB: {
			{Key: "version", Value: "8.0.4"},
			{Key: "modules", Value: bson.A{}},
			{Key: "storageEngines", Value: bson.A{"wiredTiger"}},
			{Key: "ok", Value: 1.0},
		},
	} {
		raw, err := bson.Marshal(answer)
		if err != nil {
			t.Fatal(err)
		}
		if got := productOf(raw); got != want {
			t.Errorf("%v: %d, want %d", answer, got, want)
		}
	}
}

// TestByIDs: MongoDB is asked once for all ids, FerretDB once for each of a few.
func TestByIDs(t *testing.T) {
	for _, test := range []struct {
		product    int32
		ids, finds int
	}{{mongoDB, 4, 1}, {mongoDB, 40, 1}, {ferretDB, maxLookups, maxLookups}, {ferretDB, maxLookups + 1, 1}} {
		c, sent := monitoredAs(t, test.product)
		for i := range 50 {
			if _, err := c.InsertOne(t.Context(), byID(fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
		ids := []string{"none", ""}
		for i := range test.ids - len(ids) {
			ids = append(ids, fmt.Sprint(i))
		}
		found, err := ByIDs[struct {
			ID string `bson:"_id"`
		}](t.Context(), c, ids)
		if err != nil || len(found) != test.ids-2 {
			t.Errorf("%v: found %v, %v", test, found, err)
		}
		for _, f := range found {
			if !slices.Contains(ids, f.ID) {
				t.Errorf("%v: found %q", test, f.ID)
			}
		}
		if none, err := ByIDs[bson.D](t.Context(), c, []string{}); err != nil || none == nil || len(none) > 0 {
			t.Errorf("%v: no ids find %v, %v", test, none, err)
		}
		finds := sent.named("find")
		if len(finds) != test.finds {
			t.Errorf("%v: %d find commands", test, len(finds))
		}
		for _, find := range finds {
			if _, err := find.LookupErr("filter", "_id", "$in"); (err == nil) != (test.finds == 1) {
				t.Errorf("%v: %s", test, find)
			}
		}
	}
}

// TestDeleteMany: MongoDB deletes with one command, FerretDB in parts that it can.
func TestDeleteMany(t *testing.T) {
	for product, want := range map[int32]int{mongoDB: 1, ferretDB: 2} {
		c, sent := monitoredAs(t, product)
		const documents = deletedAtOnce + 1
		for from := 0; from < documents; from += 1000 {
			var batch []bson.D
			for i := from; i < min(from+1000, documents); i++ {
				batch = append(batch, bson.D{{Key: "_id", Value: fmt.Sprint(i)}, {Key: "about", Value: "x"}})
			}
			if _, err := c.InsertMany(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.InsertOne(t.Context(), bson.D{{Key: "_id", Value: "5"}, {Key: "about", Value: "y"}}); !mongo.IsDuplicateKeyError(err) {
			t.Fatal(err)
		}
		if _, err := c.InsertOne(t.Context(), bson.D{{Key: "_id", Value: "5y"}, {Key: "about", Value: "y"}}); err != nil {
			t.Fatal(err)
		}
		if err := c.DeleteMany(t.Context(), bson.D{{Key: "about", Value: "x"}}); err != nil {
			t.Fatal(err)
		}
		left, err := All[bson.D](t.Context(), c, bson.D{})
		if err != nil || len(left) != 1 {
			t.Errorf("product %d: %d documents are left, %v", product, len(left), err)
		}
		if n := len(sent.named("delete")); n != want {
			t.Errorf("product %d: %d delete commands, want %d", product, n, want)
		}
	}
}

// TestChangesAtTheSameTime: none of them is lost, by whichever method. The server is asked what it is.
func TestChangesAtTheSameTime(t *testing.T) {
	db, sent := monitored(t)
	c := db.Collection("facts")
	if _, err := c.InsertOne(t.Context(), byID("x")); err != nil {
		t.Fatal(err)
	}
	const times = 20
	inc := func(field string) bson.D { return bson.D{{Key: "$inc", Value: bson.D{{Key: field, Value: 1}}}} }
	var group errgroup.Group
	for range times {
		group.Go(func() error { return c.FindOneAndUpdate(t.Context(), byID("x"), inc("a")).Err() })
		group.Go(func() error { _, err := c.UpdateOne(t.Context(), byID("x"), inc("b")); return err })
		group.Go(func() error { _, err := c.UpdateMany(t.Context(), byID("x"), inc("c")); return err })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	counted, err := All[struct{ A, B, C int }](t.Context(), c, byID("x"))
	if err != nil || len(counted) != 1 || counted[0].A != times || counted[0].B != times || counted[0].C != times {
		t.Errorf("counted %v, %v, want %d each", counted, err, times)
	}
	// Each change is one command, which is what makes it atomic on MongoDB.
	if f, u := len(sent.named("findAndModify")), len(sent.named("update")); f != times || u != 2*times {
		t.Errorf("%d findAndModify and %d update commands, want %d and %d", f, u, times, 2*times)
	}

	// Of replacements on a condition, one finds it true.
	won := make(chan int, times)
	for i := range times {
		group.Go(func() error {
			err := c.FindOneAndReplace(t.Context(), append(byID("x"), bson.E{Key: "a", Value: times}), bson.D{{Key: "won", Value: i}}).Err()
			if err == nil {
				won <- i
			} else if !errors.Is(err, mongo.ErrNoDocuments) {
				return err
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if len(won) != 1 {
		t.Errorf("%d of %d replacements found the same document", len(won), times)
	}
}

// TestLock: on FerretDB a change waits for the one before, unless its context ends; on MongoDB it does not wait.
func TestLock(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for product, waits := range map[int32]bool{mongoDB: false, ferretDB: true} {
		c, _ := monitoredAs(t, product)
		unlock, err := c.lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		again, err := c.lock(ended)
		if waits != errors.Is(err, context.Canceled) {
			t.Errorf("product %d: a second change at the same time: %v", product, err)
		}
		if err == nil {
			again()
		}
		failed := c.FindOneAndReplace(ended, byID("x"), bson.D{}).Err()
		if !errors.Is(failed, context.Canceled) {
			t.Errorf("product %d: a change that waits too long: %v", product, failed)
		}
		unlock()
		if _, err := c.ReplaceOne(t.Context(), byID("x"), bson.D{}); err != nil {
			t.Errorf("product %d: after the change: %v", product, err)
		}
	}
}
