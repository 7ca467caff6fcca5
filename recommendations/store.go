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

// These bound the views that one question reads, always the most recent, so that its cost does not grow over the years.
// Lists of videos or of viewers have at most 200 entries: up to that number MongoDB merges the sorted ends of its index;
// for more it would read and sort all of their views (SERVER-14034).
const (
	maxSeeds      = 100    // videos that the viewer watched
	maxCoViewers  = 200    // other viewers of those videos
	maxSeedViews  = 1000   // views that are read to find these other viewers
	maxCoViews    = 5000   // views of the other viewers
	maxPopular    = 10_000 // views that popularity is counted from
	maxCandidates = 200    // videos in each ranking
)

// view is the fact that a viewer has watched a video, however often. Each view without a viewer counts as one by another
// viewer.
type view struct {
	ID       string    `bson:"_id"`
	Viewer   string    `bson:"viewer"`
	VideoID  string    `bson:"videoId"`
	ViewedAt time.Time `bson:"viewedAt"`
}

// viewID is the same for all viewings of a video by one viewer. The length distinguishes "a"+"bc" from "ab"+"c".
func viewID(viewer, video string) string {
	return "by " + strconv.Itoa(len(viewer)) + " " + viewer + " " + video
}

// anonymousViewID is the id of a view without a viewer.
func anonymousViewID(factID string) string { return "message " + factID }

// store keeps views: a read model of its own, built from events (CQRS). The order of the messages does not matter, except for the times: if a viewer watches a video several
// times, the message that arrives first sets the time. This matters only where more views match than the numbers above
// allow; correcting it would take an update for each view instead of one insert for each batch.
type store struct {
	views database.Collection
	facts database.Facts
}

func newStore(db database.Database) *store {
	views := db.Collection("views")
	return &store{views, database.Facts{Documents: views, Removed: db.Collection("removed"), Subject: "videoId"}}
}

// ready creates the indexes, one for each question, and tries a write.
func (s *store) ready(ctx context.Context) error {
	return database.Ready(ctx, s.views,
		bson.D{{Key: "viewer", Value: 1}, {Key: "viewedAt", Value: -1}, {Key: "videoId", Value: 1}},
		bson.D{{Key: "videoId", Value: 1}, {Key: "viewedAt", Value: -1}, {Key: "viewer", Value: 1}},
		bson.D{{Key: "viewedAt", Value: -1}, {Key: "videoId", Value: 1}},
	)
}

// record stores views; those that exist already are left as they are.
func (s *store) record(ctx context.Context, views []view) error {
	videos := make([]string, len(views))
	for i, v := range views {
		videos[i] = v.VideoID
	}
	return s.facts.Insert(ctx, views, videos)
}

// seen returns the videos that viewer watched last; all says that there are no more.
func (s *store) seen(ctx context.Context, viewer string) (videos []string, all bool, err error) {
	if viewer == "" {
		return nil, true, nil
	}
	views, err := s.recent(ctx, bson.D{{Key: "viewer", Value: viewer}}, maxSeeds)
	if err != nil {
		return nil, false, fmt.Errorf("list the videos that the viewer watched: %w", err)
	}
	for _, v := range views {
		videos = append(videos, v.VideoID)
	}
	return videos, len(views) < maxSeeds, nil
}

// coViewed ranks the other videos of the co-viewers: the viewers who watched one of the seen videos, or the video that is
// being watched now, which may be "". A video comes first if more co-viewers of the video being watched have watched it,
// then if more co-viewers have watched it, then if these have more videos in common with viewer.
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
			return nil, fmt.Errorf("find other viewers of this video: %w", err)
		}
	}
	if len(seeds) > 0 {
		if err := find(seeds, false); err != nil {
			return nil, fmt.Errorf("find other viewers of the seen videos: %w", err)
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
		return nil, fmt.Errorf("list the videos of the other viewers: %w", err)
	}
	type score struct {
		video                      string
		watching, viewers, overlap int
	}
	scores := map[string]score{}
	for _, v := range views { // a viewer has one view of a video, so this counts viewers
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
	return database.All[view](ctx, s.views, filter, options.Find().SetLimit(limit).
		SetSort(bson.D{{Key: "viewedAt", Value: -1}}).
		SetProjection(bson.D{{Key: "_id", Value: 0}, {Key: "viewer", Value: 1}, {Key: "videoId", Value: 1}}))
}

// counted is a video and the number of its views, which is that of its viewers.
type counted struct {
	VideoID string `bson:"_id"`
	Viewers int64  `bson:"viewers"`
}

var countViews = bson.D{{Key: "$group", Value: bson.D{
	{Key: "_id", Value: "$videoId"},
	{Key: "viewers", Value: bson.D{{Key: "$sum", Value: 1}}},
}}}

// popular ranks videos by how many viewers they had lately.
func (s *store) popular(ctx context.Context) ([]string, error) {
	ranking, err := database.Aggregate[counted](ctx, s.views, mongo.Pipeline{
		{{Key: "$sort", Value: bson.D{{Key: "viewedAt", Value: -1}}}},
		{{Key: "$limit", Value: maxPopular}},
		countViews,
		{{Key: "$sort", Value: bson.D{{Key: "viewers", Value: -1}, {Key: "_id", Value: 1}}}},
		{{Key: "$limit", Value: maxCandidates}},
	})
	if err != nil {
		return nil, fmt.Errorf("rank popular videos: %w", err)
	}
	videos := make([]string, len(ranking))
	for i, r := range ranking {
		videos[i] = r.VideoID
	}
	return videos, nil
}

// viewers counts the viewers of each of these videos; a video without any is left out. In MongoDB it reads nothing but the
// index on videoId.
func (s *store) viewers(ctx context.Context, videos []string) (map[string]int64, error) {
	counts, err := database.Aggregate[counted](ctx, s.views, mongo.Pipeline{
		{{Key: "$match", Value: bson.D{{Key: "videoId", Value: bson.D{{Key: "$in", Value: videos}}}}}},
		countViews,
	})
	if err != nil {
		return nil, fmt.Errorf("count viewers: %w", err)
	}
	viewers := make(map[string]int64, len(counts))
	for _, v := range counts {
		viewers[v.VideoID] = v.Viewers
	}
	return viewers, nil
}

// watched returns those of these videos that viewer has ever watched.
func (s *store) watched(ctx context.Context, viewer string, videos []string) (map[string]bool, error) {
	if viewer == "" || len(videos) == 0 {
		return nil, nil
	}
	ids := make([]string, len(videos))
	for i, video := range videos {
		ids[i] = viewID(viewer, video)
	}
	views, err := database.ByIDs[view](ctx, s.views, ids)
	if err != nil {
		return nil, fmt.Errorf("look up if the viewer has watched videos: %w", err)
	}
	watched := map[string]bool{}
	for _, v := range views {
		watched[v.VideoID] = true
	}
	return watched, nil
}
