package main

import (
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/health"
	"flixtube/chassis/httpclient"
	"flixtube/chassis/web"
	"flixtube/gateway/internal/edge"
	"flixtube/gateway/internal/services"
	"flixtube/gateway/internal/site"
)

// gateway has the handlers of the routes, and the middleware that only some of them need.
type gateway struct {
	site                                           *site.Site
	video, poster, captions, position, upload, tus echo.HandlerFunc // proxies

	viewer           echo.MiddlewareFunc // identifies the viewer
	cheap, expensive echo.MiddlewareFunc // charge the viewer's rate limit
	streams          echo.MiddlewareFunc // bounds those in flight
	existing         echo.MiddlewareFunc // requires that metadata knows the video
	timeout          echo.MiddlewareFunc // for the whole of the request
}

// newHandler waits at most partTimeout for each part of a page, and ten times as long for a change or a poster.
func newHandler(cfg config, partTimeout time.Duration, log *slog.Logger) (http.Handler, error) {
	transport := httpclient.NewTransport()
	transport.ExpectContinueTimeout = 20 * time.Second // an upload may wait for ten until video-upload has a place for it
	client := httpclient.New(transport)
	changeTimeout := 10 * partTimeout
	limiter, err := edge.NewLimiter(cfg.rateLimit)
	if err != nil {
		return nil, err
	}
	viewers := edge.Viewers{
		Cookies: edge.Cookies{Secure: cfg.secureCookie}, Keys: cfg.viewerKeys, UnsignedUntil: cfg.unsignedUntil,
	}
	metadata := services.NewMetadata(client, cfg.metadata)
	pages, err := site.New(site.Config{
		Services: services.Clients{
			Metadata:        metadata,
			History:         services.NewHistory(client, cfg.history),
			Recommendations: services.NewRecommendations(client, cfg.recommendations),
			VideoUpload:     services.NewVideoUpload(client, cfg.upload),
		},
		PartTimeout:   partTimeout,
		ChangeTimeout: changeTimeout,
		ChargeUpload:  func(c echo.Context) error { return limiter.Charge(c, edge.CostUpload) },
		SetCookie:     viewers.Set,
		SetViewer:     viewers.Become,
		Secure:        cfg.secureCookie,
		Log:           log,
	})
	if err != nil {
		return nil, err
	}
	proxies := edge.Proxies{Transport: transport, Log: log}

	e := web.NewEcho(log, checks(cfg, client)...)
	e.HTTPErrorHandler = errorHandler(pages, e.HTTPErrorHandler)
	requests := edge.NewInFlight(0, edge.RequestsPerAddress)
	streams := edge.NewInFlight(edge.StreamsPerViewer, edge.StreamsPerAddress)
	e.Use(edge.SecurityHeaders, requests.Bound, edge.AnswerWhileSending, edge.SameOrigin(), edge.Compress())
	gateway{
		site:      pages,
		video:     proxies.Video(cfg.streams),
		poster:    proxies.Poster(cfg.streams),
		captions:  proxies.Captions(cfg.metadata),
		position:  proxies.Position(cfg.history),
		upload:    proxies.Upload(cfg.upload),
		tus:       proxies.Tus(cfg.upload),
		viewer:    viewers.Identify,
		cheap:     limiter.Costs(edge.CostRequest),
		expensive: limiter.Costs(edge.CostUpload),
		streams:   streams.Bound,
		existing:  edge.RequireVideo("video", metadata.Exists),
		timeout:   edge.Timeout(changeTimeout),
	}.routes(e)
	return edge.NewRequestID(edge.IdentifyAddress(cfg.trustedProxies, viewers.Recognize(e))), nil
}

func checks(cfg config, client *http.Client) []health.Check {
	var all []health.Check
	for name, base := range map[string]*url.URL{
		"metadata": cfg.metadata, "history": cfg.history, "recommendations": cfg.recommendations,
		"video-streaming": cfg.streams, "video-upload": cfg.upload,
	} {
		all = append(all, health.Service(name, client, base))
	}
	return all
}

// errorHandler answers with a page, or under /api with JSON.
func errorHandler(pages *site.Site, asJSON echo.HTTPErrorHandler) echo.HTTPErrorHandler {
	return func(err error, c echo.Context) {
		if !c.Response().Committed && !edge.IsAPI(c.Request()) {
			if err = pages.ErrorPage(err, c); err == nil {
				return
			}
		}
		asJSON(err, c)
	}
}
