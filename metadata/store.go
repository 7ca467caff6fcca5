package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"golang.org/x/sync/errgroup"

	"flixtube/chassis/database"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

// video is a document as this service writes it. Other programs write others.
type video struct {
	ID          string    `bson:"_id"`
	Name        string    `bson:"name,omitempty"`
	ContentType string    `bson:"contentType,omitempty"`
	Size        int64     `bson:"size,omitempty"`
	Duration    float64   `bson:"duration,omitempty"` // seconds
	Poster      bool      `bson:"poster,omitempty"`
	Owner       string    `bson:"owner,omitempty"`
	UploadedAt  time.Time `bson:"uploadedAt"`
}

// removal is the document of a removed video as long as nobody has been told.
type removal struct {
	ID    any   `bson:"_id"`
	Event event `bson:"outbox"`
}

type event struct {
	ID        string    `bson:"id"`
	RemovedAt time.Time `bson:"removedAt"`
}

// tombstone is what a removed video leaves, so that hearing of its upload again does not bring it back.
type tombstone struct {
	Owner   string `bson:"owner"` // who may remove it again without an error
	Removed bool   `bson:"removed"`
	Event   *event `bson:"outbox,omitempty"`
}

var (
	errNoVideo  = web.Errorf(http.StatusNotFound, codes.VideoNotFound, "there is no such video")
	errNotOwner = web.Errorf(http.StatusForbidden, codes.NotOwner, "only the owner of a video may do this")
)

// notRemoved is written so that it finds documents without the field too.
var notRemoved = bson.E{Key: "removed", Value: bson.D{{Key: "$ne", Value: true}}}

// store keeps one document for each video, removed ones included.
//
// Each change is one atomic write in MongoDB. FerretDB loses one of two changes made to a document at the same
// time, so those of this process take turns.
type store struct {
	db       database.Database
	videos   *mongo.Collection
	changing sync.Mutex
}

func newStore(db database.Database) *store {
	return &store{db: db, videos: db.Collection("videos")}
}

// ready makes the indexes, which also shows that the database takes writes.
func (s *store) ready(ctx context.Context) error {
	return database.Ready(ctx, s.videos,
		bson.D{{Key: "uploadedAt", Value: -1}, {Key: "_id", Value: 1}},
		bson.D{{Key: "outbox.id", Value: 1}},
	)
}

// add stores videos; those that it has already, or that were removed, are left as they are.
func (s *store) add(ctx context.Context, videos []video) error {
	_, err := s.videos.InsertMany(ctx, videos, options.InsertMany().SetOrdered(false))
	if err := database.IgnoreDuplicates(err); err != nil {
		return fmt.Errorf("store %d videos: %w", len(videos), err)
	}
	return nil
}

// query says which videos list returns: all, if search is empty.
type query struct {
	search      string
	newest      bool
	skip, limit int64
}

// list returns documents, whoever wrote them, in the order in which they were stored or newest first.
func (s *store) list(ctx context.Context, q query) ([]bson.D, error) {
	filter := bson.D{notRemoved}
	if q.search != "" {
		filter = append(filter, bson.E{Key: "name", Value: bson.D{
			{Key: "$regex", Value: regexp.QuoteMeta(q.search)}, {Key: "$options", Value: "i"},
		}})
	}
	videos := []bson.D{}
	if q.limit == 0 {
		return videos, nil // to MongoDB a limit of 0 is no limit
	}
	find := options.Find().SetSkip(q.skip).SetLimit(q.limit)
	if q.newest {
		find.SetSort(bson.D{{Key: "uploadedAt", Value: -1}, {Key: "_id", Value: 1}})
	}
	found, err := s.videos.Find(ctx, filter, find)
	if err == nil {
		err = found.All(ctx, &videos)
	}
	if err != nil {
		return nil, fmt.Errorf("list videos: %w", err)
	}
	return videos, nil
}

// find returns the document of a video, or errNoVideo.
func (s *store) find(ctx context.Context, id string) (bson.D, error) {
	document, err := s.lookUp(ctx, id)
	if err == nil && field(document, "removed") == true {
		return nil, errNoVideo
	}
	return document, err
}

// findAll returns the documents of those ids that there are, in the order of the ids. It looks each one up by
// itself, as only that uses FerretDB's index.
func (s *store) findAll(ctx context.Context, ids []string) ([]bson.D, error) {
	documents := make([]bson.D, len(ids))
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(8)
	for i, id := range ids {
		work.Go(func() (err error) {
			if documents[i], err = s.find(ctx, id); errors.Is(err, errNoVideo) {
				return nil
			}
			return err
		})
	}
	err := work.Wait()
	return slices.DeleteFunc(documents, func(d bson.D) bool { return d == nil }), err
}

// lookUp finds tombstones as well. An id is the document's string, an ObjectID's hexadecimal form, or a whole number
// of any type. FerretDB uses its index only when a filter is one _id and nothing else.
func (s *store) lookUp(ctx context.Context, id string) (bson.D, error) {
	if id == "" || len(id) > maxID || !utf8.ValidString(id) {
		return nil, errNoVideo
	}
	keys := []any{id}
	if oid, err := bson.ObjectIDFromHex(id); err == nil {
		keys = append(keys, oid)
	}
	if n, err := strconv.ParseInt(id, 10, 64); err == nil && idText(n) == id {
		keys = append(keys, n)
	}
	for _, key := range keys {
		var document bson.D
		err := s.videos.FindOne(ctx, bson.D{{Key: "_id", Value: key}}).Decode(&document)
		if err == nil {
			return document, nil
		}
		if !errors.Is(err, mongo.ErrNoDocuments) {
			return nil, fmt.Errorf("look up a video: %w", err)
		}
	}
	return nil, errNoVideo
}

// rename returns the document with its new name.
func (s *store) rename(ctx context.Context, id, owner, name string) (bson.D, error) {
	document, err := s.find(ctx, id)
	if err != nil {
		return nil, err
	}
	if field(document, "owner") != owner {
		return nil, errNotOwner
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	var renamed bson.D
	err = s.videos.FindOneAndUpdate(ctx, owned(document, owner),
		bson.D{{Key: "$set", Value: bson.D{{Key: "name", Value: name}}}},
		options.FindOneAndUpdate().SetReturnDocument(options.After)).Decode(&renamed)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return nil, errNoVideo // removed since it was looked up
	}
	if err != nil {
		return nil, fmt.Errorf("rename a video: %w", err)
	}
	return renamed, nil
}

// remove leaves a tombstone in which the event waits that has to be told, in one write. Removing what is
// removed is not an error.
func (s *store) remove(ctx context.Context, id, owner string) error {
	document, err := s.lookUp(ctx, id)
	if err != nil {
		return err
	}
	removed, mine := field(document, "removed") == true, field(document, "owner") == owner
	switch {
	case removed && mine:
		return nil
	case removed:
		return errNoVideo
	case !mine:
		return errNotOwner
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	err = s.videos.FindOneAndReplace(ctx, owned(document, owner), tombstone{
		Owner: owner, Removed: true, Event: &event{ID: uuid.NewString(), RemovedAt: time.Now().UTC()},
	}).Err()
	if err != nil && !errors.Is(err, mongo.ErrNoDocuments) { // none: removed since it was looked up
		return fmt.Errorf("remove a video: %w", err)
	}
	return nil
}

// owned finds the document as long as it has this owner and is not removed.
func owned(document bson.D, owner string) bson.D {
	return bson.D{{Key: "_id", Value: field(document, "_id")}, {Key: "owner", Value: owner}, notRemoved}
}

// unsent returns removals that nobody has been told of, one batch of them.
func (s *store) unsent(ctx context.Context) ([]removal, error) {
	var waiting []removal
	found, err := s.videos.Find(ctx, bson.D{
		{Key: "outbox.id", Value: bson.D{{Key: "$gt", Value: ""}}}, {Key: "removed", Value: true},
	}, options.Find().SetLimit(web.MaxPage))
	if err == nil {
		err = found.All(ctx, &waiting)
	}
	if err != nil {
		return nil, fmt.Errorf("look for removed videos: %w", err)
	}
	return waiting, nil
}

// sent takes a removal's event out of the document.
func (s *store) sent(ctx context.Context, r removal) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	_, err := s.videos.UpdateOne(ctx, bson.D{{Key: "_id", Value: r.ID}, {Key: "outbox.id", Value: r.Event.ID}},
		bson.D{{Key: "$unset", Value: bson.D{{Key: "outbox", Value: ""}}}})
	if err != nil {
		return fmt.Errorf("note that a removal was told: %w", err)
	}
	return nil
}

// field returns the value of a field, or nil.
func field(document bson.D, name string) any {
	for _, e := range document {
		if e.Key == name {
			return e.Value
		}
	}
	return nil
}
