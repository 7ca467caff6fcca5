package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"golang.org/x/text/language"

	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

type handler struct {
	views        views
	texts        []texts
	languages    language.Matcher // of the same order
	inner        neighbours
	upload       *url.URL
	limit        time.Duration // for each part of a page
	changeLimit  time.Duration
	limiter      *limiter
	secureCookie bool
	log          *slog.Logger
}

const (
	pageSize   = 24 // videos, or lines of history, on a page
	suggestion = 8  // videos recommended
	maxSearch  = 100
	maxID      = 200 // bytes; nothing has a longer one
)

// errNoSuchPage is for viewers, who know nothing of skip and limit.
var errNoSuchPage = web.Errorf(http.StatusBadRequest, codes.PageNotFound, "there is no such page; check the address")

// pager holds the addresses of the pages before and after, empty where there is none.
type pager struct{ Previous, Next string }

type homePage struct {
	layout
	Videos, Recommended, Unfinished []video
	Pager                           pager
}

type watchPage struct {
	layout
	Video        video
	View         string // the id of this viewing
	Known, Owned bool
	Start        float64 // seconds
	Next         []video
}

type historyPage struct {
	layout
	Days  []day
	Pager pager
}

// day is what was watched on one day, in UTC; the page's script makes it the viewer's days.
type day struct {
	Date     time.Time
	Viewings []viewing
}

type errorPage struct {
	layout
	Status  int
	Message string
	Detail  string
	Next    []video
}

// part is one service's share of a page.
type part struct {
	name  string
	fetch func(context.Context) error
}

// recommendations is the part that comes from the service of that name, which counts views too.
const recommendations = "recommendations"

// countViews asks for the counts of all videos of a page at once. A page without counts lacks nothing that anybody
// came for, so it does not say so; and who has just not answered is not waited for again.
func (h *handler) countViews(c echo.Context, missing []string, lists ...[]video) {
	var ids []string
	for _, list := range lists {
		for _, v := range list {
			if len(v.ID) <= maxID { // with a longer one, all would be refused
				ids = append(ids, v.ID)
			}
		}
	}
	if len(ids) == 0 || slices.Contains(missing, recommendations) {
		return
	}
	h.compose(c, part{"view counts", func(ctx context.Context) error {
		views, err := h.inner.views(ctx, web.Viewer(c.Request().Header), ids)
		for _, list := range lists {
			for i := range list {
				list[i].Views = views[list[i].ID]
			}
		}
		return err
	}})
}

// compose fetches all parts at the same time, each within the limit, and returns the names of those that
// failed: the page goes without them.
func (h *handler) compose(c echo.Context, parts ...part) (missing []string) {
	failed := make([]error, len(parts))
	var wg sync.WaitGroup
	for i, p := range parts {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(c.Request().Context(), h.limit)
			defer cancel()
			failed[i] = p.fetch(ctx)
		})
	}
	wg.Wait()
	for i, err := range failed {
		if err == nil {
			continue
		}
		missing = append(missing, parts[i].name)
		if c.Request().Context().Err() == nil {
			h.log.Warn("page without a part", "page", c.Path(), "part", parts[i].name, "error", err)
		}
	}
	return missing
}

func (h *handler) home(c echo.Context) error {
	skip, _, err := web.Page(c.QueryParams(), pageSize)
	if err != nil {
		return errNoSuchPage
	}
	viewer, search := web.Viewer(c.Request().Header), c.QueryParam("q")
	if !utf8.ValidString(search) || utf8.RuneCountInString(search) > maxSearch {
		return web.Errorf(http.StatusBadRequest, codes.SearchTooLong, "a search has at most %d characters", maxSearch)
	}
	page := &homePage{layout: layout{Section: "home", Query: search}}
	parts := []part{{"the library", func(ctx context.Context) (err error) {
		page.Videos, err = h.inner.newest(ctx, viewer, search, skip, pageSize+1)
		return err
	}}}
	if search == "" && skip == 0 {
		parts = append(parts, part{recommendations, func(ctx context.Context) (err error) {
			page.Recommended, err = h.inner.recommended(ctx, viewer, "", suggestion)
			return err
		}}, part{"where you stopped", func(ctx context.Context) (err error) {
			page.Unfinished, err = h.inner.unfinished(ctx, viewer, suggestion)
			return err
		}})
	}
	page.Missing = h.compose(c, parts...)
	page.Videos, page.Pager = cut(page.Videos, skip, "/", search)
	h.countViews(c, page.Missing, page.Videos, page.Recommended, page.Unfinished)
	return h.render(c, http.StatusOK, "home.html", page)
}

// watch counts nothing: the player's requests do, under the id that the page gives this viewing.
func (h *handler) watch(c echo.Context) error {
	id, viewer := c.QueryParam("id"), web.Viewer(c.Request().Header)
	if len(id) > maxID {
		id = "" // nobody need be asked
	}
	start, given := seconds(c.QueryParam("t"))
	page := &watchPage{Video: video{ID: id}, View: uuid.NewString(), Start: start}
	var found bool
	var other others
	parts := h.others(viewer, id, &other)
	if id != "" {
		parts = append(parts, part{"the title", func(ctx context.Context) (err error) {
			v, ok, err := h.inner.video(ctx, viewer, id)
			found = ok || err != nil // a video whose title is not known for the moment can still be played
			if ok {
				page.Video, page.Known = v, true
			}
			return err
		}})
	}
	if id != "" && !given {
		parts = append(parts, part{"where you stopped", func(ctx context.Context) (err error) {
			page.Start, err = h.inner.resume(ctx, viewer, id)
			return err
		}})
	}
	page.Missing = h.compose(c, parts...)
	if !found {
		next := other.next(id)
		h.countViews(c, page.Missing, next)
		return h.render(c, http.StatusNotFound, "error.html", &errorPage{
			layout: layout{Missing: page.Missing}, Status: http.StatusNotFound, Next: next,
			Message: h.textsFor(c.Request()).t("There is no such video. It may have been removed by its owner."),
		})
	}
	shown := append([]video{page.Video}, other.next(id)...)
	h.countViews(c, page.Missing, shown)
	page.Video, page.Next = shown[0], shown[1:]
	page.Owned = page.Video.Owner != "" && page.Video.Owner == viewer
	return h.render(c, http.StatusOK, "watch.html", page)
}

// others are what a viewer could watch instead or next.
type others struct{ recommended, newest []video }

func (h *handler) others(viewer, id string, found *others) []part {
	return []part{
		{recommendations, func(ctx context.Context) (err error) {
			found.recommended, err = h.inner.recommended(ctx, viewer, id, suggestion)
			return err
		}},
		{"other videos", func(ctx context.Context) (err error) {
			found.newest, err = h.inner.newest(ctx, viewer, "", 0, suggestion+1)
			return err
		}},
	}
}

// next is what is recommended, filled up with what is new, without the video that is on.
func (o others) next(id string) []video {
	var next []video
	seen := map[string]bool{id: true}
	for _, v := range append(o.recommended, o.newest...) {
		if !seen[v.ID] && v.ID != "" && len(next) < suggestion {
			seen[v.ID] = true
			next = append(next, v)
		}
	}
	return next
}

func (h *handler) history(c echo.Context) error {
	skip, _, err := web.Page(c.QueryParams(), pageSize)
	if err != nil {
		return errNoSuchPage
	}
	viewer := web.Viewer(c.Request().Header)
	page := &historyPage{layout: layout{Section: "history"}}
	var viewings []viewing
	page.Missing = h.compose(c, part{"your history", func(ctx context.Context) (err error) {
		viewings, err = h.inner.watched(ctx, viewer, skip, pageSize+1)
		return err
	}})
	viewings, page.Pager = cut(viewings, skip, "/history", "")
	titles := h.compose(c, part{"titles", func(ctx context.Context) error {
		ids := make([]string, len(viewings))
		for i, v := range viewings {
			ids[i] = v.VideoID
		}
		byID, err := h.inner.videos(ctx, viewer, ids)
		for i, v := range viewings {
			viewings[i].Video, viewings[i].Known = byID[v.VideoID], true
			if _, ok := byID[v.VideoID]; !ok {
				viewings[i].Video = video{ID: v.VideoID, Name: h.textsFor(c.Request()).t("Video")} // not untitled: who knows?
				viewings[i].Known = err != nil
			}
		}
		return err
	}})
	page.Missing = append(page.Missing, titles...)
	page.Days = byDay(viewings)
	return h.render(c, http.StatusOK, "history.html", page)
}

// byDay keeps the order.
func byDay(viewings []viewing) []day {
	var days []day
	for _, v := range viewings {
		date := v.ViewedAt.UTC().Truncate(24 * time.Hour)
		if len(days) == 0 || !days[len(days)-1].Date.Equal(date) {
			days = append(days, day{Date: date})
		}
		last := &days[len(days)-1]
		last.Viewings = append(last.Viewings, v)
	}
	return days
}

func (h *handler) clearPage(c echo.Context) error {
	return h.render(c, http.StatusOK, "clear.html", &layout{Section: "history"})
}

// cut takes the one item off that only showed that there are more.
func cut[T any](items []T, skip int64, path, search string) ([]T, pager) {
	at := func(skip int64) string {
		query := url.Values{}
		if search != "" {
			query.Set("q", search)
		}
		if skip > 0 {
			query.Set("skip", strconv.FormatInt(skip, 10))
		}
		return (&url.URL{Path: path, RawQuery: query.Encode()}).String()
	}
	var p pager
	if skip > 0 {
		p.Previous = at(skip - pageSize)
	}
	if len(items) > pageSize {
		items, p.Next = items[:pageSize], at(skip+pageSize)
	}
	return items, p
}

func (h *handler) uploadPage(c echo.Context) error {
	return h.render(c, http.StatusOK, "upload.html", &layout{Section: "upload"})
}
