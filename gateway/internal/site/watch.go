package site

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"flixtube/chassis/web"
	"flixtube/contracts/codes"
	"flixtube/contracts/limits"
	"flixtube/gateway/internal/services"
)

type watchPage struct {
	layout
	Video        services.Video
	View         string // the id of this viewing
	Known, Owned bool
	Start        float64 // seconds
	Next         []services.Video
	Views        map[string]int64 // by the videos' ids

	Rejected ownerForms

	Languages []captionLanguage // to choose from

	// For previews of a link to the page: the site's address, the video's query, and what it is.
	Base, ByID, Description string
}

// ownerForms says why one of the owner's forms was rejected.
type ownerForms struct{ Rename, Captions string }

var errNoVideo = web.Errorf(http.StatusNotFound, codes.VideoNotFound, "there is no such video")

// Watch is the page of one video. It counts no view: the player's requests do, under the id that the page gives this
// viewing.
func (s *Site) Watch(c echo.Context) error {
	return s.watch(c, c.QueryParam("id"), http.StatusOK, ownerForms{})
}

func (s *Site) watch(c echo.Context, id string, status int, rejected ownerForms) error {
	viewer := viewerOf(c)
	if limits.CheckID("id", id) != nil {
		id = "" // no video has it
	}
	start, given := parseTime(c.QueryParam("t"))
	page := &watchPage{Video: services.Video{ID: id}, View: uuid.NewString(), Start: start, Rejected: rejected}
	var found bool
	var next alternatives
	parts := s.alternatives(viewer, id, &next)
	if id != "" {
		parts = append(parts, part{"the title", func(ctx context.Context) error {
			v, ok, err := s.Services.Metadata.Video(ctx, viewer, id)
			found = ok || err != nil // a video whose title is missing for the moment can still be played
			if ok {
				page.Video, page.Known = v, true
			}
			return err
		}})
	}
	if id != "" && !given {
		parts = append(parts, part{"where you stopped", func(ctx context.Context) (err error) {
			page.Start, err = s.Services.History.Resume(ctx, viewer, id)
			return err
		}})
	}
	page.Missing = s.compose(c, parts...)
	page.Next = next.without(id)
	if !found {
		return s.renderError(c, errNoVideo, errorPage{
			layout: layout{Missing: page.Missing}, Next: page.Next, Views: s.countViews(c, page.Missing, page.Next),
		})
	}
	page.Views = s.countViews(c, page.Missing, []services.Video{page.Video}, page.Next)
	page.Base = "http://" + c.Request().Host
	if s.Secure || c.IsTLS() {
		page.Base = "https://" + c.Request().Host
	}
	page.ByID = url.Values{"id": {id}}.Encode()
	page.Description = s.textsFor(c.Request()).describe(page.Video)
	page.Owned = page.Video.Owner != "" && page.Video.Owner == viewer
	page.Languages = captionLanguages()
	return s.render(c, status, "watch.html", page)
}

// alternatives are the videos that a viewer could watch next or instead.
type alternatives struct{ recommended, newest []services.Video }

func (s *Site) alternatives(viewer, watching string, found *alternatives) []part {
	return []part{
		{recommendationsPart, func(ctx context.Context) (err error) {
			found.recommended, _, err = s.recommended(ctx, viewer, watching)
			return err
		}},
		{"other videos", func(ctx context.Context) (err error) {
			found.newest, err = s.Services.Metadata.Newest(ctx, viewer, "", 0, suggestions+1)
			return err
		}},
	}
}

// without returns the recommended videos and then new ones, without the one that is being watched.
func (a alternatives) without(watching string) []services.Video {
	var next []services.Video
	seen := map[string]bool{watching: true}
	for _, v := range append(a.recommended, a.newest...) {
		if !seen[v.ID] && v.ID != "" && len(next) < suggestions {
			seen[v.ID] = true
			next = append(next, v)
		}
	}
	return next
}

// parseTime reads a place in a video, such as 90, 90.5, 1m30s or 1h2m3s, in seconds. ok is false if it is none.
func parseTime(s string) (seconds float64, ok bool) {
	if n, err := strconv.ParseFloat(s, 64); err == nil && n >= 0 && n < limits.Duration {
		return n, true
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 && d < limits.Duration*time.Second {
		return d.Seconds(), true
	}
	return 0, false
}
