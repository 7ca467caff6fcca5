package site

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/httpclient"
	"flixtube/chassis/requestid"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
	"flixtube/gateway/internal/edge"
	"flixtube/gateway/internal/services"
)

var (
	errChangeFailed = web.Errorf(http.StatusBadGateway, codes.ChangeFailed, "the change was not made, try again in a moment")
	errUploadFailed = web.Errorf(http.StatusBadGateway, codes.UploadFailed, "the video was not uploaded, try again in a moment")
)

func changeError(err error) error { return answerOf(err, errChangeFailed) }

// answerOf returns what the viewer is told when a service did not do what it was asked: the service's own answer if the
// viewer can do something about it, otherwise failed. It returns nil if err is nil.
func answerOf(err error, failed *web.Error) error {
	if err == nil {
		return nil
	}
	var answer *httpclient.StatusError
	if !errors.As(err, &answer) {
		return failed.Because(err)
	}
	// That there are too many uploads is nobody's fault, and passes.
	if answer.Status < http.StatusInternalServerError && answer.Code != "" || answer.Code == codes.UploadsFull {
		return &web.Error{Status: answer.Status, Code: answer.Code, Message: answer.Message, Args: answer.Args}
	}
	if rejected := edge.RejectedRequest(answer.Status); rejected != nil {
		return rejected
	}
	return failed.Because(err)
}

type errorPage struct {
	layout
	Status    int
	Message   string
	RequestID string
	Next      []services.Video
	Views     map[string]int64 // by the videos' ids
}

// ErrorPage answers a request with a page about err, and logs it if it is our fault.
func (s *Site) ErrorPage(err error, c echo.Context) error {
	answer := web.AsError(err)
	web.Log(s.Log, c.Request(), answer.Status, err)
	var page errorPage
	return s.renderError(c, answer, page)
}

// renderError completes the page and answers with it.
func (s *Site) renderError(c echo.Context, answer *web.Error, page errorPage) error {
	page.Status, page.Message = answer.Status, s.textsFor(c.Request()).errors.of(answer)
	page.RequestID = requestid.FromContext(c.Request().Context())
	return s.render(c, answer.Status, "error.html", &page)
}
