package site

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/web"
	"flixtube/gateway/internal/edge"
	"flixtube/gateway/internal/services"
)

type historyPage struct {
	layout
	Days  []day
	Pager pager
}

// day has the viewings of one day in UTC. The page's script groups them by the viewer's days.
type day struct {
	Date  time.Time
	Lines []line
}

// line is a viewing and its video. Exists is false for a video that metadata does not have.
type line struct {
	services.Viewing
	Video  services.Video
	Exists bool
}

// History is what the viewer watched, newest first.
func (s *Site) History(c echo.Context) error {
	skip, _, err := web.Page(c.QueryParams(), pageSize)
	if err != nil {
		return errNoSuchPage
	}
	viewer := viewerOf(c)
	page := &historyPage{layout: layout{Section: "history"}}
	var viewings []services.Viewing
	page.Missing = s.compose(c, part{"your history", func(ctx context.Context) (err error) {
		viewings, err = s.Services.History.Viewings(ctx, viewer, skip, pageSize+1)
		return err
	}})
	viewings, page.Pager = paginate(viewings, skip, "/history", "")
	var videos map[string]services.Video
	withoutTitles := s.compose(c, part{"titles", func(ctx context.Context) (err error) {
		ids := make([]string, len(viewings))
		for i, v := range viewings {
			ids[i] = v.VideoID
		}
		videos, err = s.Services.Metadata.Videos(ctx, viewer, ids)
		return err
	}})
	page.Missing = append(page.Missing, withoutTitles...)

	unknown := services.Video{Name: s.textsFor(c.Request()).t("Video")} // it may have a title
	lines := make([]line, len(viewings))
	for i, v := range viewings {
		video, ok := videos[v.VideoID]
		if !ok {
			video = unknown
			video.ID = v.VideoID
		}
		lines[i] = line{v, video, ok || len(withoutTitles) > 0}
	}
	page.Days = byDay(lines)
	return s.render(c, http.StatusOK, "history.html", page)
}

// byDay keeps the order.
func byDay(lines []line) []day {
	var days []day
	for _, l := range lines {
		date := l.ViewedAt.UTC().Truncate(24 * time.Hour)
		if len(days) == 0 || !days[len(days)-1].Date.Equal(date) {
			days = append(days, day{Date: date})
		}
		last := &days[len(days)-1]
		last.Lines = append(last.Lines, l)
	}
	return days
}

// RemoveViewing takes the form of a line of the history.
func (s *Site) RemoveViewing(c echo.Context) error {
	form, err := readForm(c)
	if err != nil {
		return err
	}
	if err := edge.CheckID("id", form.Get("id")); err != nil {
		return err
	}
	ctx, cancel := s.changeContext(c)
	defer cancel()
	if err := s.Services.History.RemoveViewing(ctx, viewerOf(c), form.Get("id")); err != nil {
		return changeError(err)
	}
	return c.Redirect(http.StatusSeeOther, localPath(form.Get("back")))
}

// ClearHistoryPage asks the viewer whether to clear the history.
func (s *Site) ClearHistoryPage(c echo.Context) error {
	return s.render(c, http.StatusOK, "clear.html", &layout{Section: "history"})
}

// ClearHistory does it.
func (s *Site) ClearHistory(c echo.Context) error {
	ctx, cancel := s.changeContext(c)
	defer cancel()
	if err := s.Services.History.Clear(ctx, viewerOf(c)); err != nil {
		return changeError(err)
	}
	return s.HistoryIsClear(c)
}

// HistoryIsClear answers when it is.
func (s *Site) HistoryIsClear(c echo.Context) error {
	return c.Redirect(http.StatusSeeOther, "/history")
}
