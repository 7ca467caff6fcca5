package site

import (
	"context"
	"net/http"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/web"
	"flixtube/contracts/codes"
	"flixtube/gateway/internal/services"
)

const maxSearch = 100 // characters

type homePage struct {
	layout
	Videos, Recommended []services.Video
	Unfinished          []unfinished
	Views               map[string]int64 // by the videos' ids
	Pager               pager
}

// unfinished is a video that the viewer may want to continue.
type unfinished struct {
	services.Video
	Percent int // watched
}

// Home is the library, newest first, and on its first page what is recommended to the viewer and what they can continue.
func (s *Site) Home(c echo.Context) error {
	skip, _, err := web.Page(c.QueryParams(), pageSize)
	if err != nil {
		return errNoSuchPage
	}
	viewer, search := viewerOf(c), c.QueryParam("q")
	if !utf8.ValidString(search) || utf8.RuneCountInString(search) > maxSearch {
		return web.Errorf(http.StatusBadRequest, codes.SearchTooLong, "a search has at most %d characters", maxSearch).With("max", maxSearch)
	}
	page := &homePage{layout: layout{Section: "home", Query: search}}
	parts := []part{{"the library", func(ctx context.Context) (err error) {
		page.Videos, err = s.Services.Metadata.Newest(ctx, viewer, search, skip, pageSize+1)
		return err
	}}}
	if search == "" && skip == 0 {
		parts = append(parts, part{recommendationsPart, func(ctx context.Context) error {
			recommended, known, err := s.recommended(ctx, viewer, "")
			if known { // to a new viewer they would be the newest once more
				page.Recommended = recommended
			}
			return err
		}}, part{"where you stopped", func(ctx context.Context) (err error) {
			page.Unfinished, err = s.unfinished(ctx, viewer)
			return err
		}})
	}
	page.Missing = s.compose(c, parts...)
	page.Videos, page.Pager = paginate(page.Videos, skip, "/", search)
	page.Views = s.countViews(c, page.Missing, page.Videos, page.Recommended, videosOf(page.Unfinished))
	return s.render(c, http.StatusOK, "home.html", page)
}

// unfinished returns the videos that the viewer may want to continue, the last watched first.
func (s *Site) unfinished(ctx context.Context, viewer string) ([]unfinished, error) {
	positions, err := s.Services.History.Unfinished(ctx, viewer)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(positions))
	for i, p := range positions {
		ids[i] = p.VideoID
	}
	byID, err := s.Services.Metadata.Videos(ctx, viewer, ids)
	var found []unfinished
	for _, p := range positions {
		if v, ok := byID[p.VideoID]; ok && len(found) < suggestions {
			found = append(found, unfinished{v, p.Percent()})
		}
	}
	return found, err
}

func videosOf(list []unfinished) []services.Video {
	videos := make([]services.Video, len(list))
	for i, u := range list {
		videos[i] = u.Video
	}
	return videos
}
