package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
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

// view is the fact that a viewer has watched a video in some half hour, however often. Each view without a viewer counts as
// one by another viewer.
type view struct {
	ID       string    `bson:"_id"`
	Viewer   string    `bson:"viewer"`
	VideoID  string    `bson:"videoId"`
	ViewedAt time.Time `bson:"viewedAt"`
}

// countedOnce is how long a viewer may watch a video again and again for one view. It divides the time since 1970 into fixed
// parts, so that the order of the messages does not matter.
const countedOnce = 30 * time.Minute

// viewID is the same for all viewings of a video by one viewer in one half hour. The length distinguishes "a"+"bc" from
// "ab"+"c". Documents with another form of id, "by" and neither time, are from before: one for each viewer and video.
func viewID(viewer, video string, at time.Time) string {
	return fmt.Sprintf("view %d %s %d %s", len(viewer), viewer, at.Unix()/int64(countedOnce/time.Second), video)
}

// anonymousViewID is the id of a view without a viewer.
func anonymousViewID(factID string) string { return "message " + factID }

// store keeps views: a read model of its own, built from events (CQRS). The order of the messages does not matter, except
// for the times: if a viewer watches a video several times in a half hour, the message that arrives first sets the time.
// This matters only where more views match than the numbers above allow; correcting it would take an update for each view
// instead of one insert for each batch.
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
	views, all, err := s.recent(ctx, bson.D{{Key: "viewer", Value: viewer}}, maxSeeds)
	if err != nil {
		return nil, false, fmt.Errorf("list the videos that the viewer watched: %w", err)
	}
	for _, v := range views {
		videos = append(videos, v.VideoID)
	}
	return videos, all, nil
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
		views, _, err := s.recent(ctx, bson.D{
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

	views, _, err := s.recent(ctx, bson.D{
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
	for _, v := range views { // each viewer is there once for a video, so this counts viewers
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

// recent reads up to limit of the most recent views that match, newest first, and returns each viewer once for a video; all
// says that no more views match. Views without a viewer stay as they are.
func (s *store) recent(ctx context.Context, filter bson.D, limit int64) (views []view, all bool, err error) {
	found, err := database.All[view](ctx, s.views, filter, options.Find().SetLimit(limit).
		SetSort(bson.D{{Key: "viewedAt", Value: -1}}).
		SetProjection(bson.D{{Key: "_id", Value: 0}, {Key: "viewer", Value: 1}, {Key: "videoId", Value: 1}}))
	seen := map[view]bool{}
	views = slices.DeleteFunc(found, func(v view) bool {
		again := v.Viewer != "" && seen[v]
		seen[v] = true
		return again
	})
	return views, int64(len(found)) < limit, err
}

// popular ranks videos by how many viewers they had lately.
func (s *store) popular(ctx context.Context) ([]string, error) {
	views, _, err := s.recent(ctx, bson.D{}, maxPopular)
	if err != nil {
		return nil, fmt.Errorf("rank popular videos: %w", err)
	}
	viewers := map[string]int{}
	for _, v := range views {
		viewers[v.VideoID]++
	}
	ranking := slices.SortedFunc(maps.Keys(viewers), func(a, b string) int {
		return cmp.Or(cmp.Compare(viewers[b], viewers[a]), cmp.Compare(a, b))
	})
	return ranking[:min(len(ranking), maxCandidates)], nil
}

// count returns how many views each of these videos has; a video without any is left out. In MongoDB it reads nothing but
// the index on videoId.
func (s *store) count(ctx context.Context, videos []string) (map[string]int64, error) {
	counts, err := database.Aggregate[struct {
		VideoID string `bson:"_id"`
		Views   int64  `bson:"views"`
	}](ctx, s.views, mongo.Pipeline{
		{{Key: "$match", Value: bson.D{{Key: "videoId", Value: bson.D{{Key: "$in", Value: videos}}}}}},
		{{Key: "$group", Value: bson.D{
			{Key: "_id", Value: "$videoId"},
			{Key: "views", Value: bson.D{{Key: "$sum", Value: 1}}},
		}}},
	})
	if err != nil {
		return nil, fmt.Errorf("count views: %w", err)
	}
	views := make(map[string]int64, len(counts))
	for _, v := range counts {
		views[v.VideoID] = v.Views
	}
	return views, nil
}

// watched returns those of these videos that viewer has ever watched.
func (s *store) watched(ctx context.Context, viewer string, videos []string) (map[string]bool, error) {
	if viewer == "" || len(videos) == 0 {
		return nil, nil
	}
	views, err := database.All[view](ctx, s.views, bson.D{
		{Key: "viewer", Value: viewer}, {Key: "videoId", Value: bson.D{{Key: "$in", Value: videos}}},
	}, options.Find().SetProjection(bson.D{{Key: "_id", Value: 0}, {Key: "videoId", Value: 1}}))
	if err != nil {
		return nil, fmt.Errorf("look up if the viewer has watched videos: %w", err)
	}
	watched := map[string]bool{}
	for _, v := range views {
		watched[v.VideoID] = true
	}
	return watched, nil
}
