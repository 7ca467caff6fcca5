package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"flixtube/chassis/database"
	"flixtube/chassis/web"
	"flixtube/contracts/limits"
)

// video is a document as this service writes it. Other programs may have written other documents.
type video struct {
	ID          string    `bson:"_id"`
	Name        string    `bson:"name,omitempty"`
	ContentType string    `bson:"contentType,omitempty"`
	Size        int64     `bson:"size,omitempty"`
	Duration    float64   `bson:"duration,omitempty"` // seconds
	Poster      bool      `bson:"poster,omitempty"`
	Owner       string    `bson:"owner,omitempty"`
	Captions    []string  `bson:"captions,omitempty"` // languages
	UploadedAt  time.Time `bson:"uploadedAt"`
	SearchWords []string  `bson:"searchWords,omitempty"` // see indexWords
}

// removal is the document of a removed video whose removal is not announced yet.
type removal struct {
	ID    any   `bson:"_id"`
	Event event `bson:"outbox"`
}

type event struct {
	ID        string    `bson:"id"`
	RemovedAt time.Time `bson:"removedAt"`
}

// tombstone replaces a removed video, so that a repeated message about its upload does not bring the video back.
type tombstone struct {
	Owner   string `bson:"owner"` // may remove it again without an error
	Removed bool   `bson:"removed"`
	Event   *event `bson:"outbox,omitempty"`
}

var (
	errNoVideo  = errors.New("there is no such video")
	errNotOwner = errors.New("only the owner of a video may do this")
)

// notRemoved also finds documents without the field.
var notRemoved = bson.E{Key: "removed", Value: bson.D{{Key: "$ne", Value: true}}}

// store keeps one document for each video, including removed ones. Each change is one atomic write.
type store struct{ videos, captions, recoveries database.Collection }

func newStore(db database.Database) *store {
	return &store{db.Collection("videos"), db.Collection("captions"), db.Collection("recoveries")}
}

// ready creates the indexes, tries a write, and ends what a kill has interrupted.
func (s *store) ready(ctx context.Context) error {
	if err := database.Ready(ctx, s.captions, bson.D{{Key: "video", Value: 1}}); err != nil {
		return err
	}
	if err := s.forgetCaptions(ctx); err != nil {
		return err
	}
	if err := database.Ready(ctx, s.recoveries, bson.D{{Key: "hash", Value: 1}}); err != nil {
		return err
	}
	return database.Ready(ctx, s.videos,
		bson.D{{Key: "uploadedAt", Value: -1}, {Key: "_id", Value: 1}},
		bson.D{{Key: "owner", Value: 1}, {Key: "uploadedAt", Value: -1}, {Key: "_id", Value: 1}},
		bson.D{{Key: "outbox.id", Value: 1}},
		bson.D{{Key: wordsField, Value: 1}},
	)
}

// add stores videos; those that exist already, or were removed, are left as they are. But a video may get a poster later, and
// is then announced again.
func (s *store) add(ctx context.Context, videos []video) error {
	for i := range videos {
		videos[i].SearchWords = indexWords(videos[i].Name)
	}
	_, existed := s.videos.InsertMany(ctx, videos, options.InsertMany().SetOrdered(false))
	if err := database.IgnoreDuplicates(existed); err != nil {
		return fmt.Errorf("store %d videos: %w", len(videos), err)
	}
	if existed == nil {
		return nil
	}
	return s.addPosters(ctx, videos)
}

// addPosters notes which of the videos have a poster now.
func (s *store) addPosters(ctx context.Context, videos []video) error {
	for _, v := range videos {
		if !v.Poster {
			continue
		}
		filter := bson.D{{Key: "_id", Value: v.ID}, notRemoved}
		if _, err := s.videos.UpdateOne(ctx, filter, bson.D{{Key: "$set", Value: bson.D{{Key: "poster", Value: true}}}}); err != nil {
			return fmt.Errorf("note the poster of video %s: %w", v.ID, err)
		}
	}
	return nil
}

// query says which videos list returns: all names if search is empty, and those of all owners if owner is.
type query struct {
	search      string
	owner       string
	newest      bool
	skip, limit int64
}

// list returns documents, also those of other programs, in the order in which they were stored or newest first.
func (s *store) list(ctx context.Context, q query) ([]bson.D, error) {
	if q.limit == 0 {
		return []bson.D{}, nil // for MongoDB a limit of 0 is no limit
	}
	filter := bson.D{notRemoved}
	if q.owner != "" {
		filter = append(filter, bson.E{Key: "owner", Value: q.owner})
	}
	if q.search != "" {
		if err := s.index(ctx); err != nil {
			return nil, err
		}
		filter = append(filter, allWords(q.search)...)
	}
	find := options.Find().SetSkip(q.skip).SetLimit(q.limit)
	if q.newest {
		find.SetSort(bson.D{{Key: "uploadedAt", Value: -1}, {Key: "_id", Value: 1}})
	}
	videos, err := database.All[bson.D](ctx, s.videos, filter, find)
	if err != nil {
		return nil, fmt.Errorf("list videos: %w", err)
	}
	return videos, nil
}

// find returns the document of a video, or errNoVideo.
func (s *store) find(ctx context.Context, id string) (bson.D, error) {
	document, err := s.lookUp(ctx, id)
	if err != nil {
		return nil, err
	}
	if isRemoved(document) {
		return nil, errNoVideo
	}
	return document, nil
}

// findOwned is find for the owner; for others it returns errNotOwner.
func (s *store) findOwned(ctx context.Context, id, owner string) (bson.D, error) {
	document, err := s.find(ctx, id)
	if err == nil && field(document, "owner") != owner {
		return nil, errNotOwner
	}
	return document, err
}

// findAll returns the documents of these ids in the order of the ids, without those that do not exist.
func (s *store) findAll(ctx context.Context, ids []string) ([]bson.D, error) {
	found, err := s.lookUpAll(ctx, ids)
	if err != nil {
		return nil, err
	}
	videos := []bson.D{}
	for _, id := range ids {
		if document, ok := found[id]; ok && !isRemoved(document) {
			videos = append(videos, document)
		}
	}
	return videos, nil
}

// lookUp returns the document of a video, which may be a tombstone, or errNoVideo.
func (s *store) lookUp(ctx context.Context, id string) (bson.D, error) {
	found, err := s.lookUpAll(ctx, []string{id})
	if err != nil {
		return nil, err
	}
	document, ok := found[id]
	if !ok {
		return nil, errNoVideo
	}
	return document, nil
}

// lookUpAll returns the documents of these ids, including tombstones.
func (s *store) lookUpAll(ctx context.Context, ids []string) (map[string]bson.D, error) {
	var keys []any
	for _, id := range ids {
		keys = append(keys, keysOf(id)...)
	}
	documents, err := database.ByIDs[bson.D](ctx, s.videos, keys)
	if err != nil {
		return nil, fmt.Errorf("look up videos: %w", err)
	}
	found := map[string]bson.D{}
	for _, document := range documents {
		key := field(document, "_id")
		id := idText(key)
		if _, isString := key.(string); isString || found[id] == nil { // our own documents come first
			found[id] = document
		}
	}
	return found, nil
}

// keysOf returns the values of _id that an id stands for: the string itself, an ObjectID's hexadecimal form, or a whole
// number of any type.
func keysOf(id string) []any {
	if limits.CheckID("id", id) != nil {
		return nil
	}
	keys := []any{id}
	if oid, err := bson.ObjectIDFromHex(id); err == nil {
		keys = append(keys, oid)
	}
	if n, err := strconv.ParseInt(id, 10, 64); err == nil && idText(n) == id {
		keys = append(keys, n)
	}
	return keys
}

// rename returns the document with its new name.
func (s *store) rename(ctx context.Context, id, owner, name string) (bson.D, error) {
	document, err := s.findOwned(ctx, id, owner)
	if err != nil {
		return nil, err
	}
	var renamed bson.D
	err = s.videos.FindOneAndUpdate(ctx, owned(document, owner),
		bson.D{{Key: "$set", Value: bson.D{{Key: "name", Value: name}, {Key: wordsField, Value: indexWords(name)}}}},
		options.FindOneAndUpdate().SetReturnDocument(options.After)).Decode(&renamed)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return nil, errNoVideo // removed since it was looked up
	}
	if err != nil {
		return nil, fmt.Errorf("rename a video: %w", err)
	}
	return renamed, nil
}

// remove begins the saga of a removal: it replaces the video by a tombstone and the event to announce, in one write. The
// event makes video-storage, history and recommendations delete what they have, each on its own (a choreographed saga).
// remove returns nil if the owner has removed the video already.
func (s *store) remove(ctx context.Context, id, owner string) error {
	document, err := s.lookUp(ctx, id)
	if err != nil {
		return err
	}
	removed, mine := isRemoved(document), field(document, "owner") == owner
	switch {
	case removed && mine:
		return nil
	case removed:
		return errNoVideo
	case !mine:
		return errNotOwner
	}
	err = s.videos.FindOneAndReplace(ctx, owned(document, owner), tombstone{
		Owner: owner, Removed: true, Event: &event{ID: uuid.NewString(), RemovedAt: time.Now().UTC()},
	}).Err()
	if err != nil && !errors.Is(err, mongo.ErrNoDocuments) { // none: removed since it was looked up
		return fmt.Errorf("remove a video: %w", err)
	}
	return nil
}

func isRemoved(document bson.D) bool { return field(document, "removed") == true }

// owned finds the document if it has this owner and is not removed.
func owned(document bson.D, owner string) bson.D {
	return bson.D{{Key: "_id", Value: field(document, "_id")}, {Key: "owner", Value: owner}, notRemoved}
}

// unsent returns removals that are not announced yet, one batch of them.
func (s *store) unsent(ctx context.Context) ([]removal, error) {
	waiting, err := database.All[removal](ctx, s.videos, bson.D{
		{Key: "outbox.id", Value: bson.D{{Key: "$gt", Value: ""}}}, {Key: "removed", Value: true},
	}, options.Find().SetLimit(web.MaxPage))
	if err != nil {
		return nil, fmt.Errorf("look for removed videos: %w", err)
	}
	return waiting, nil
}

// sent removes the event of a removal from its document. Before, it deletes the captions: a kill between the two repeats both.
func (s *store) sent(ctx context.Context, r removal) error {
	if err := s.captions.DeleteMany(ctx, bson.D{{Key: "video", Value: idText(r.ID)}}); err != nil {
		return fmt.Errorf("delete the captions of a removed video: %w", err)
	}
	_, err := s.videos.UpdateOne(ctx, bson.D{{Key: "_id", Value: r.ID}, {Key: "outbox.id", Value: r.Event.ID}},
		bson.D{{Key: "$unset", Value: bson.D{{Key: "outbox", Value: ""}}}})
	if err != nil {
		return fmt.Errorf("note that a removal is announced: %w", err)
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
