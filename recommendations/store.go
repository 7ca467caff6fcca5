package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"flixtube/chassis/database"
)

// What one question looks at: always the most recent, so that its cost does not grow with the years. Lists of videos or
// of viewers hold at most 200: up to that many MongoDB merges the sorted ends of its index, for more it would read
// and sort all of their views (SERVER-14034).
const (
	maxSeeds      = 100    // of the videos that the viewer watched
	maxCoViewers  = 200    // of the others who watched those
	maxSeedViews  = 1000   // of the views, of the seeds and of the video being watched, that are read to find those others
	maxCoViews    = 5000   // of the views of those others
	maxPopular    = 10_000 // of the views that popularity is counted from
	maxCandidates = 200    // of the videos that each ranking yields
)

// view is the fact that a viewer watched a video, however often; a view without a viewer stands for itself.
type view struct {
	ID       string    `bson:"_id"`
	Viewer   string    `bson:"viewer"`
	VideoID  string    `bson:"videoId"`
	ViewedAt time.Time `bson:"viewedAt"`
}

// viewID is the same for all viewings of a video by one viewer. The length keeps the ids "a"+"bc" and "ab"+"c"
// apart.
func viewID(viewer, video string) string {
	return "by " + strconv.Itoa(len(viewer)) + " " + viewer + " " + video
}

// store keeps views. Which there are is the same in whatever order the messages come, but not their times: of several
// viewings of a video by one viewer the one that arrives first gives its time. That matters only to what is the most
// recent of more than the numbers above; to correct it would take an update, which FerretDB may lose.
type store struct {
	views *mongo.Collection
	facts database.Facts
}

func newStore(db database.Database) *store {
	views := db.Collection("views")
	return &store{views, database.Facts{Documents: views, Removed: db.Collection("removed"), Subject: "videoId"}}
}

// ready makes the indexes, one for each question, which also shows that the database takes writes.
func (s *store) ready(ctx context.Context) error {
	return database.Ready(ctx, s.views,
		bson.D{{Key: "viewer", Value: 1}, {Key: "viewedAt", Value: -1}, {Key: "videoId", Value: 1}},
		bson.D{{Key: "videoId", Value: 1}, {Key: "viewedAt", Value: -1}, {Key: "viewer", Value: 1}},
		bson.D{{Key: "viewedAt", Value: -1}, {Key: "videoId", Value: 1}},
		bson.D{{Key: "videoId", Value: 1}, {Key: "_id", Value: 1}}, // deleted in parts, by _id
	)
}

// record stores views; those that it has already are left as they are.
func (s *store) record(ctx context.Context, views []viewed) error {
	documents := make([]view, len(views))
	videos := make([]string, len(views))
	for i, v := range views {
		id := "message " + v.ID
		if v.Viewer.ID != "" {
			id = viewID(v.Viewer.ID, v.Video.ID)
		}
		documents[i] = view{ID: id, Viewer: v.Viewer.ID, VideoID: v.Video.ID, ViewedAt: v.ViewedAt}
		videos[i] = v.Video.ID
	}
	return s.facts.Insert(ctx, documents, videos)
}

// seen returns what viewer watched last; all says that there is nothing else.
func (s *store) seen(ctx context.Context, viewer string) (videos []string, all bool, err error) {
	if viewer == "" {
		return nil, true, nil
	}
	views, err := s.recent(ctx, bson.D{{Key: "viewer", Value: viewer}}, maxSeeds)
	if err != nil {
		return nil, false, fmt.Errorf("what the viewer watched: %w", err)
	}
	for _, v := range views {
		videos = append(videos, v.VideoID)
	}
	return videos, len(views) < maxSeeds, nil
}

// coViewed ranks what was also watched by those who watched what viewer has seen, or who watched the video that is
// being watched now, which may be "". First comes what most of the latter watched, then what most of all of
// them watched, then what those watched who have most in common with viewer.
func (s *store) coViewed(ctx context.Context, viewer string, seen []string, watching string) ([]string, error) {
	var seeds []string
	for _, id := range seen {
		if id != watching {
			seeds = append(seeds, id)
		}
	}
	type coViewer struct {
		watching bool
		overlap  int // how many of viewer's videos they have watched
	}
	coViewers := map[string]coViewer{}
	find := func(videos []string, watching bool) error {
		views, err := s.recent(ctx, bson.D{
			{Key: "videoId", Value: bson.D{{Key: "$in", Value: videos}}},
			{Key: "viewer", Value: bson.D{{Key: "$nin", Value: []string{"", viewer}}}},
		}, maxSeedViews)
		for _, v := range views {
			who, known := coViewers[v.Viewer]
			if known || len(coViewers) < maxCoViewers {
				coViewers[v.Viewer] = coViewer{who.watching || watching, who.overlap + 1}
			}
		}
		return err
	}
	if watching != "" {
		if err := find([]string{watching}, true); err != nil {
			return nil, fmt.Errorf("who else watched this: %w", err)
		}
	}
	if len(seeds) > 0 {
		if err := find(seeds, false); err != nil {
			return nil, fmt.Errorf("who else watched these: %w", err)
		}
	}
	if len(coViewers) == 0 {
		return nil, nil
	}

	views, err := s.recent(ctx, bson.D{
		{Key: "viewer", Value: bson.D{{Key: "$in", Value: slices.Sorted(maps.Keys(coViewers))}}},
		{Key: "videoId", Value: bson.D{{Key: "$nin", Value: append(seeds, watching)}}},
	}, maxCoViews)
	if err != nil {
		return nil, fmt.Errorf("what they also watched: %w", err)
	}
	type score struct {
		video                      string
		watching, viewers, overlap int
	}
	scores := map[string]score{}
	for _, v := range views { // a viewer and a video meet in one view only, so this counts distinct viewers
		who, sum := coViewers[v.Viewer], scores[v.VideoID]
		if who.watching {
			sum.watching++
		}
		scores[v.VideoID] = score{v.VideoID, sum.watching, sum.viewers + 1, sum.overlap + who.overlap}
	}
	ranking := slices.SortedFunc(maps.Values(scores), func(a, b score) int {
		return cmp.Or(cmp.Compare(b.watching, a.watching), cmp.Compare(b.viewers, a.viewers),
			cmp.Compare(b.overlap, a.overlap), cmp.Compare(a.video, b.video))
	})
	videos := make([]string, min(len(ranking), maxCandidates))
	for i := range videos {
		videos[i] = ranking[i].video
	}
	return videos, nil
}

// recent returns the most recent views that match, newest first.
func (s *store) recent(ctx context.Context, filter bson.D, limit int64) ([]view, error) {
	found, err := s.views.Find(ctx, filter, options.Find().SetLimit(limit).
		SetSort(bson.D{{Key: "viewedAt", Value: -1}}).
		SetProjection(bson.D{{Key: "_id", Value: 0}, {Key: "viewer", Value: 1}, {Key: "videoId", Value: 1}}))
	if err != nil {
		return nil, err
	}
	var views []view
	err = found.All(ctx, &views)
	return views, err
}

// popular ranks videos by how many viewers they had lately.
func (s *store) popular(ctx context.Context) ([]string, error) {
	found, err := s.views.Aggregate(ctx, mongo.Pipeline{
		{{Key: "$sort", Value: bson.D{{Key: "viewedAt", Value: -1}}}},
		{{Key: "$limit", Value: maxPopular}},
		{{Key: "$group", Value: bson.D{
			{Key: "_id", Value: "$videoId"},
			{Key: "viewers", Value: bson.D{{Key: "$sum", Value: 1}}},
		}}},
		{{Key: "$sort", Value: bson.D{{Key: "viewers", Value: -1}, {Key: "_id", Value: 1}}}},
		{{Key: "$limit", Value: maxCandidates}},
	})
	var ranking []struct {
		VideoID string `bson:"_id"`
	}
	if err == nil {
		err = found.All(ctx, &ranking)
	}
	if err != nil {
		return nil, fmt.Errorf("what is popular: %w", err)
	}
	videos := make([]string, len(ranking))
	for i, r := range ranking {
		videos[i] = r.VideoID
	}
	return videos, nil
}

// viewers counts those of each of these videos; a video without any is left out. In MongoDB the index on videoId has
// all that it reads.
func (s *store) viewers(ctx context.Context, videos []string) (map[string]int64, error) {
	found, err := s.views.Aggregate(ctx, mongo.Pipeline{
		{{Key: "$match", Value: bson.D{{Key: "videoId", Value: bson.D{{Key: "$in", Value: videos}}}}}},
		{{Key: "$group", Value: bson.D{
			{Key: "_id", Value: "$videoId"},
			{Key: "viewers", Value: bson.D{{Key: "$sum", Value: 1}}},
		}}},
	})
	var counted []struct {
		VideoID string `bson:"_id"`
		Viewers int64  `bson:"viewers"`
	}
	if err == nil {
		err = found.All(ctx, &counted)
	}
	if err != nil {
		return nil, fmt.Errorf("count viewers: %w", err)
	}
	viewers := make(map[string]int64, len(counted))
	for _, v := range counted {
		viewers[v.VideoID] = v.Viewers
	}
	return viewers, nil
}

// watched tells which of these videos viewer has watched, ever.
func (s *store) watched(ctx context.Context, viewer string, videos []string) (map[string]bool, error) {
	if viewer == "" || len(videos) == 0 {
		return nil, nil
	}
	ids := make([]string, len(videos))
	for i, video := range videos {
		ids[i] = viewID(viewer, video)
	}
	found, err := s.views.Find(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}})
	var views []view
	if err == nil {
		err = found.All(ctx, &views)
	}
	if err != nil {
		return nil, fmt.Errorf("what the viewer has watched: %w", err)
	}
	watched := map[string]bool{}
	for _, v := range views {
		watched[v.VideoID] = true
	}
	return watched, nil
}
