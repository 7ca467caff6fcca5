//go:build pact

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/httpclient"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
	"flixtube/contracts/pacttest"
	"flixtube/gateway/internal/services"
)

const (
	pactVideo  = "5d9e690ad76fe06a3d7ae416"
	pactViewer = "Vb7Q0cJX1m2hN4tYkqZ8sL5rWfPe3aUd"
	oneView    = "0b8f7c1e-2f4b-4a55-9b0e-3d1c1f6f8a10"
)

// ofViewer are the headers of every request. The stubs, which are made of the pacts, answer to every viewer.
func ofViewer() map[string]pacttest.Matcher {
	return map[string]pacttest.Matcher{web.ViewerHeader: pacttest.Matching(pactViewer, `^[A-Za-z0-9_-]{1,64}$`)}
}

func equal(what string, got, want any) error {
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("%s: %+v, want %+v", what, got, want)
	}
	return nil
}

// answered is nil if err is the answer with this status and code.
func answered(err error, status int, code string) error {
	var answer *httpclient.StatusError
	if !errors.As(err, &answer) || answer.Status != status || answer.Code != code {
		return fmt.Errorf("the client returned %w, want %d %s", err, status, code)
	}
	return nil
}

func TestPactConsumerOfMetadata(t *testing.T) {
	c := pacttest.NewConsumer(t, "gateway", "metadata")
	client := httpclient.New(httpclient.NewTransport())
	stored := pacttest.State{Name: "there is a video", Params: map[string]any{"id": pactVideo, "owner": pactViewer}}
	facts := func() map[string]any {
		return map[string]any{
			"_id":        pacttest.AnyString(pactVideo),
			"name":       pacttest.AnyString("My holiday"),
			"owner":      pacttest.AnyString(pactViewer),
			"uploadedAt": pacttest.AnyTime("2026-03-01T09:00:00Z"),
			"duration":   pacttest.AnyNumber(61.5),
			"poster":     pacttest.True(),
		}
	}
	want := services.Video{
		ID: pactVideo, Name: "My holiday", Owner: pactViewer, UploadedAt: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC),
		Duration: 61.5, Poster: true,
	}
	newest := pacttest.Exchange{
		Description: "the newest videos",
		Given:       stored,
		Method:      http.MethodGet, Path: "/videos", Query: url.Values{"sort": {"newest"}, "limit": {"25"}}, Numbers: []string{"limit"},
		Headers: ofViewer(),
		Status:  http.StatusOK, AnswerHeaders: pacttest.JSON(),
		Answer: map[string]any{"videos": pacttest.Each(facts())},
	}
	c.Exchange(newest, func(base *url.URL) error {
		videos, err := services.NewMetadata(client, base).Newest(t.Context(), pactViewer, "", 0, 25)
		return errors.Join(err, equal("the newest", videos, []services.Video{want}))
	})
	search := newest
	search.Description = "the videos whose names contain a text"
	search.Query = url.Values{"sort": {"newest"}, "limit": {"25"}, "search": {"holiday"}}
	c.Exchange(search, func(base *url.URL) error {
		videos, err := services.NewMetadata(client, base).Newest(t.Context(), pactViewer, "holiday", 0, 25)
		return errors.Join(err, equal("found", videos, []services.Video{want}))
	})
	c.Exchange(pacttest.Exchange{
		Description: "videos by their ids",
		Given:       stored,
		Method:      http.MethodGet, Path: "/videos", Query: url.Values{"id": {pactVideo}}, Headers: ofViewer(),
		Status: http.StatusOK, AnswerHeaders: pacttest.JSON(),
		Answer: map[string]any{"videos": pacttest.Each(facts())},
	}, func(base *url.URL) error {
		videos, err := services.NewMetadata(client, base).Videos(t.Context(), pactViewer, []string{pactVideo})
		return errors.Join(err, equal("by id", videos, map[string]services.Video{pactVideo: want}))
	})
	one := facts()
	delete(one, "_id") // the gateway knows it
	one["captions"] = pacttest.Each(pacttest.AnyString("ko"))
	captioned := want
	captioned.Captions = []string{"ko"}
	c.Exchange(pacttest.Exchange{
		Description: "one video",
		Given:       stored,
		Method:      http.MethodGet, Path: "/video", Query: url.Values{"id": {pactVideo}}, Headers: ofViewer(),
		Status: http.StatusOK, AnswerHeaders: pacttest.JSON(),
		Answer: map[string]any{"video": one},
	}, func(base *url.URL) error {
		video, found, err := services.NewMetadata(client, base).Video(t.Context(), pactViewer, pactVideo)
		return errors.Join(err, equal("found", found, true), equal("the video", video, captioned))
	})
	c.Exchange(pacttest.Exchange{
		Description: "a video that does not exist",
		Given:       pacttest.State{Name: "there are no videos"},
		Method:      http.MethodGet, Path: "/video", Query: url.Values{"id": {"none"}}, Headers: ofViewer(),
		Status: http.StatusNotFound, AnswerHeaders: pacttest.JSON(), Answer: pacttest.Error(codes.VideoNotFound),
	}, func(base *url.URL) error {
		_, found, err := services.NewMetadata(client, base).Video(t.Context(), pactViewer, "none")
		return errors.Join(err, equal("found", found, false))
	})
	rename := pacttest.Exchange{
		Description: "the owner renames a video",
		Given:       stored,
		Method:      http.MethodPatch, Path: "/video", Query: url.Values{"id": {pactVideo}}, Headers: ofViewer(),
		Body:   map[string]any{"name": pacttest.AnyString("Our holiday")},
		Status: http.StatusOK,
	}
	c.Exchange(rename, func(base *url.URL) error {
		return services.NewMetadata(client, base).Rename(t.Context(), pactViewer, pactVideo, "Our holiday")
	})
	rename.Description = "somebody else renames a video"
	rename.Given.Params = map[string]any{"id": "of-another-viewer", "owner": "another"}
	rename.Query = url.Values{"id": {"of-another-viewer"}}
	rename.Status, rename.AnswerHeaders, rename.Answer = http.StatusForbidden, pacttest.JSON(), pacttest.Error(codes.NotOwner)
	c.Exchange(rename, func(base *url.URL) error {
		err := services.NewMetadata(client, base).Rename(t.Context(), pactViewer, "of-another-viewer", "Our holiday")
		return answered(err, http.StatusForbidden, codes.NotOwner)
	})
	c.Exchange(pacttest.Exchange{
		Description: "the owner removes a video",
		Given:       stored,
		Method:      http.MethodDelete, Path: "/video", Query: url.Values{"id": {pactVideo}}, Headers: ofViewer(),
		Status: http.StatusNoContent,
	}, func(base *url.URL) error {
		return services.NewMetadata(client, base).Remove(t.Context(), pactViewer, pactVideo)
	})
	own := newest
	own.Description, own.Path, own.Query = "the viewer's own videos", "/videos/own", url.Values{"limit": {"25"}}
	c.Exchange(own, func(base *url.URL) error {
		videos, err := services.NewMetadata(client, base).Own(t.Context(), pactViewer, 0, 25)
		return errors.Join(err, equal("own", videos, []services.Video{want}))
	})
	captionsOfMetadata(t, c, stored)
	recoveryOfMetadata(t, c, stored)
}

func recoveryOfMetadata(t *testing.T, c *pacttest.Consumer, stored pacttest.State) {
	t.Helper()
	const code = "ABCD-EFGH-IJKL-MNOP-QRST-UVWX-YZ23-4567"
	metadata := func(base *url.URL) services.Metadata {
		return services.NewMetadata(httpclient.New(httpclient.NewTransport()), base)
	}
	made := pacttest.State{Name: "a viewer has a recovery code", Params: map[string]any{"viewer": pactViewer, "code": code}}
	c.Exchange(pacttest.Exchange{
		Description: "the owner of a video makes a recovery code",
		Given:       stored,
		Method:      http.MethodPost, Path: "/recovery", Headers: ofViewer(),
		Status: http.StatusCreated, AnswerHeaders: pacttest.JSON(), Answer: map[string]any{"code": pacttest.AnyString(code)},
	}, func(base *url.URL) error {
		got, err := metadata(base).NewRecoveryCode(t.Context(), pactViewer)
		return errors.Join(err, equal("the code", got, code))
	})
	c.Exchange(pacttest.Exchange{
		Description: "whether a viewer has a recovery code",
		Given:       made,
		Method:      http.MethodGet, Path: "/recovery", Headers: ofViewer(),
		Status: http.StatusOK, AnswerHeaders: pacttest.JSON(), Answer: map[string]any{},
	}, func(base *url.URL) error {
		has, err := metadata(base).HasRecoveryCode(t.Context(), pactViewer)
		return errors.Join(err, equal("has one", has, true))
	})
	c.Exchange(pacttest.Exchange{
		Description: "whether a viewer has a recovery code who has none",
		Given:       pacttest.State{Name: "there are no videos"},
		Method:      http.MethodGet, Path: "/recovery", Headers: ofViewer(),
		Status: http.StatusNotFound, AnswerHeaders: pacttest.JSON(), Answer: pacttest.Error(codes.RecoveryNotFound),
	}, func(base *url.URL) error {
		has, err := metadata(base).HasRecoveryCode(t.Context(), pactViewer)
		return errors.Join(err, equal("has one", has, false))
	})
	use := pacttest.Exchange{
		Description: "a browser with a recovery code",
		Given:       made,
		Method:      http.MethodPost, Path: "/recovery/use", Headers: ofViewer(), Body: map[string]any{"code": code},
		Status: http.StatusOK, AnswerHeaders: pacttest.JSON(),
		Answer: map[string]any{"viewer": map[string]any{"id": pacttest.AnyString(pactViewer)}},
	}
	c.Exchange(use, func(base *url.URL) error {
		id, err := metadata(base).RecoverViewer(t.Context(), pactViewer, code)
		return errors.Join(err, equal("the viewer", id, pactViewer))
	})
	use.Description, use.Given = "a browser with a recovery code that is not valid", pacttest.State{Name: "there are no videos"}
	use.Status, use.Answer = http.StatusNotFound, pacttest.Error(codes.RecoveryNotFound)
	c.Exchange(use, func(base *url.URL) error {
		_, err := metadata(base).RecoverViewer(t.Context(), pactViewer, code)
		return answered(err, http.StatusNotFound, codes.RecoveryNotFound)
	})
	c.Exchange(pacttest.Exchange{
		Description: "a viewer revokes the recovery code",
		Given:       made,
		Method:      http.MethodDelete, Path: "/recovery", Headers: ofViewer(),
		Status: http.StatusNoContent,
	}, func(base *url.URL) error { return metadata(base).RevokeRecoveryCode(t.Context(), pactViewer) })
}

func captionsOfMetadata(t *testing.T, c *pacttest.Consumer, stored pacttest.State) {
	t.Helper()
	query := url.Values{"id": {pactVideo}, "language": {"ko"}}
	c.Exchange(pacttest.Exchange{
		Description: "the captions of a video",
		Given:       stored,
		Method:      http.MethodGet, Path: "/captions", Query: query, Headers: ofViewer(),
		Status: http.StatusOK, AnswerHeaders: map[string]pacttest.Matcher{"Content-Type": pacttest.Exactly("text/vtt; charset=utf-8")},
	}, func(base *url.URL) error {
		res := throughGateway(t, config{metadata: base}, http.MethodGet, "/api/captions?"+query.Encode(), "")
		return equal("status", res.Code, http.StatusOK)
	})
	metadata := func(base *url.URL) services.Metadata {
		return services.NewMetadata(httpclient.New(httpclient.NewTransport()), base)
	}
	headers := ofViewer()
	headers["Content-Type"] = pacttest.Exactly("text/plain")
	put := pacttest.Exchange{
		Description: "the owner adds captions",
		Given:       stored,
		Method:      http.MethodPut, Path: "/captions", Query: query, Headers: headers,
		RawBody: "1\n00:00:01,000 --> 00:00:02,500\nHello\n",
		Status:  http.StatusNoContent,
	}
	c.Exchange(put, func(base *url.URL) error {
		return metadata(base).PutCaptions(t.Context(), pactViewer, pactVideo, "ko", []byte(put.RawBody))
	})
	broken := put
	broken.Description, broken.RawBody = "the owner adds captions of which a line is broken", "1\nHello\n"
	broken.Status, broken.AnswerHeaders = http.StatusBadRequest, pacttest.JSON()
	broken.Answer = map[string]any{
		"error": pacttest.AnyString("wrong"), "code": codes.CaptionsNoTiming, "args": map[string]any{"line": pacttest.AnyInteger(2)},
	}
	c.Exchange(broken, func(base *url.URL) error {
		err := metadata(base).PutCaptions(t.Context(), pactViewer, pactVideo, "ko", []byte(broken.RawBody))
		return answered(err, http.StatusBadRequest, codes.CaptionsNoTiming)
	})
	c.Exchange(pacttest.Exchange{
		Description: "the owner removes captions",
		Given:       stored,
		Method:      http.MethodDelete, Path: "/captions", Query: query, Headers: ofViewer(),
		Status: http.StatusNoContent,
	}, func(base *url.URL) error {
		return metadata(base).RemoveCaptions(t.Context(), pactViewer, pactVideo, "ko")
	})
}

func TestPactConsumerOfHistory(t *testing.T) {
	c := pacttest.NewConsumer(t, "gateway", "history")
	client := httpclient.New(httpclient.NewTransport())
	stopped := pacttest.State{
		Name:   "a viewer has stopped in a video",
		Params: map[string]any{"id": oneView, "viewer": pactViewer, "video": pactVideo},
	}
	position := services.Position{VideoID: pactVideo, Position: 30, Duration: 60}
	c.Exchange(pacttest.Exchange{
		Description: "the history of a viewer",
		Given:       stopped,
		Method:      http.MethodGet, Path: "/history", Query: url.Values{"limit": {"25"}, "by": {"day"}}, Numbers: []string{"limit"}, Headers: ofViewer(),
		Status: http.StatusOK, AnswerHeaders: pacttest.JSON(),
		Answer: map[string]any{"history": pacttest.Each(map[string]any{
			"_id":      pacttest.AnyString(oneView),
			"videoId":  pacttest.AnyString(pactVideo),
			"viewedAt": pacttest.AnyTime("2026-03-01T10:15:30.123Z"),
			"position": pacttest.AnyNumber(30),
			"duration": pacttest.AnyNumber(60),
		})},
	}, func(base *url.URL) error {
		viewings, err := services.NewHistory(client, base).Viewings(t.Context(), pactViewer, 0, 25)
		at := time.Date(2026, 3, 1, 10, 15, 30, 123e6, time.UTC)
		return errors.Join(err, equal("the history", viewings, []services.Viewing{{ID: oneView, ViewedAt: at, Position: position}}))
	})
	c.Exchange(pacttest.Exchange{
		Description: "where a viewer has stopped",
		Given:       stopped,
		Method:      http.MethodGet, Path: "/positions", Query: url.Values{"limit": {"100"}}, Numbers: []string{"limit"}, Headers: ofViewer(),
		Status: http.StatusOK, AnswerHeaders: pacttest.JSON(),
		Answer: map[string]any{"positions": pacttest.Each(map[string]any{
			"videoId": pacttest.AnyString(pactVideo), "position": pacttest.AnyNumber(30), "duration": pacttest.AnyNumber(60),
		})},
	}, func(base *url.URL) error {
		positions, err := services.NewHistory(client, base).Unfinished(t.Context(), pactViewer)
		return errors.Join(err, equal("unfinished", positions, []services.Position{position}))
	})
	c.Exchange(pacttest.Exchange{
		Description: "where a viewer has stopped in one video",
		Given:       stopped,
		Method:      http.MethodGet, Path: "/position", Query: url.Values{"video": {pactVideo}}, Headers: ofViewer(),
		Status: http.StatusOK, AnswerHeaders: pacttest.JSON(),
		Answer: map[string]any{"position": map[string]any{"position": pacttest.AnyNumber(30), "duration": pacttest.AnyNumber(60)}},
	}, func(base *url.URL) error {
		start, err := services.NewHistory(client, base).Resume(t.Context(), pactViewer, pactVideo)
		return errors.Join(err, equal("start", start, 30.0))
	})
	c.Exchange(pacttest.Exchange{
		Description: "a video that the viewer has not begun",
		Given:       pacttest.State{Name: "nothing was watched"},
		Method:      http.MethodGet, Path: "/position", Query: url.Values{"video": {"none"}}, Headers: ofViewer(),
		Status: http.StatusNotFound, AnswerHeaders: pacttest.JSON(), Answer: pacttest.Error(codes.PositionNotFound),
	}, func(base *url.URL) error {
		start, err := services.NewHistory(client, base).Resume(t.Context(), pactViewer, "none")
		return errors.Join(err, equal("start", start, 0.0))
	})
	c.Exchange(pacttest.Exchange{
		Description: "a viewer removes one view",
		Given:       stopped,
		Method:      http.MethodDelete, Path: "/viewed", Query: url.Values{"id": {oneView}, "by": {"day"}}, Headers: ofViewer(),
		Status: http.StatusNoContent,
	}, func(base *url.URL) error {
		return services.NewHistory(client, base).RemoveViewing(t.Context(), pactViewer, oneView)
	})
	c.Exchange(pacttest.Exchange{
		Description: "a viewer clears the history",
		Given:       stopped,
		Method:      http.MethodDelete, Path: "/history", Headers: ofViewer(),
		Status: http.StatusNoContent,
	}, func(base *url.URL) error {
		return services.NewHistory(client, base).Clear(t.Context(), pactViewer)
	})
	videos := httptest.NewServer(library([]string{pactVideo}, map[string]object{pactVideo: {"_id": pactVideo}}))
	defer videos.Close()
	library, err := url.Parse(videos.URL)
	if err != nil {
		t.Fatal(err)
	}
	c.Exchange(pacttest.Exchange{
		Description: "the player saves its position",
		Given:       pacttest.State{Name: "nothing was watched"},
		Method:      http.MethodPut, Path: "/position", Query: url.Values{"video": {pactVideo}}, Headers: ofViewer(),
		Body:   map[string]any{"position": pacttest.AnyNumber(30.5), "duration": pacttest.AnyNumber(60)},
		Status: http.StatusNoContent,
	}, func(base *url.URL) error {
		res := throughGateway(t, config{history: base, metadata: library}, http.MethodPost, "/api/position?video="+pactVideo, `{"position":30.5,"duration":60.0}`,
			"Content-Type", "application/json")
		return equal("status", res.Code, http.StatusNoContent)
	})
}

func TestPactConsumerOfRecommendations(t *testing.T) {
	c := pacttest.NewConsumer(t, "gateway", "recommendations")
	client := httpclient.New(httpclient.NewTransport())
	for _, test := range []struct {
		description, watching string
		given                 pacttest.State
	}{
		{
			"what to watch", "",
			pacttest.State{Name: "somebody has watched a video", Params: map[string]any{"video": pactVideo}},
		},
		{
			"what to watch after a video", pactVideo,
			pacttest.State{Name: "viewers of a video have watched another one", Params: map[string]any{"video": pactVideo}},
		},
	} {
		query := url.Values{"limit": {"12"}}
		if test.watching != "" {
			query.Set("video", test.watching)
		}
		c.Exchange(pacttest.Exchange{
			Description: test.description,
			Given:       test.given,
			Method:      http.MethodGet, Path: "/recommendations", Query: query, Numbers: []string{"limit"}, Headers: ofViewer(),
			Status: http.StatusOK, AnswerHeaders: pacttest.JSON(),
			Answer: map[string]any{
				"recommendations": pacttest.Each(map[string]any{"videoId": pacttest.AnyString(pactVideo)}),
				"known":           pacttest.AnyBool(true),
			},
		}, func(base *url.URL) error {
			ids, known, err := services.NewRecommendations(client, base).VideoIDs(t.Context(), pactViewer, test.watching, 12)
			return errors.Join(err, equal("recommended", ids, []string{pactVideo}), equal("known", known, true))
		})
	}
	c.Exchange(pacttest.Exchange{
		Description: "how many viewers a video has had",
		Given:       pacttest.State{Name: "somebody has watched a video", Params: map[string]any{"video": pactVideo}},
		Method:      http.MethodGet, Path: "/views", Query: url.Values{"id": {pactVideo}}, Headers: ofViewer(),
		Status: http.StatusOK, AnswerHeaders: pacttest.JSON(),
		Answer: map[string]any{"views": map[string]any{pactVideo: pacttest.AnyInteger(3)}},
	}, func(base *url.URL) error {
		views, err := services.NewRecommendations(client, base).Views(t.Context(), pactViewer, []string{pactVideo})
		return errors.Join(err, equal("views", views, map[string]int64{pactVideo: 3}))
	})
}

// throughGateway sends a request of pactViewer to the whole gateway.
func throughGateway(t *testing.T, cfg config, method, target, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	nowhere := &url.URL{Scheme: "http", Host: "127.0.0.1:1"}
	for _, base := range []**url.URL{&cfg.metadata, &cfg.history, &cfg.recommendations, &cfg.streams, &cfg.upload} {
		if *base == nil {
			*base = nowhere
		}
	}
	cfg.rateLimit, cfg.viewerKeys = 1000, [][]byte{[]byte(testKey)}
	h, err := newHandler(cfg, 5*time.Second, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	req := httptest.NewRequestWithContext(context.WithoutCancel(t.Context()), method, target, strings.NewReader(body))
	req.Header.Set("Cookie", cookie(pactViewer))
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res := httptest.NewRecorder()
	h.ServeHTTP(res, req)
	return res
}

func TestPactConsumerOfVideoStreaming(t *testing.T) {
	c := pacttest.NewConsumer(t, "gateway", "video-streaming")
	stored := pacttest.State{Name: "there is a video of ten bytes", Params: map[string]any{"id": pactVideo}}
	headers := ofViewer()
	headers["Range"] = pacttest.Exactly("bytes=0-3")
	c.Exchange(pacttest.Exchange{
		Description: "the first bytes of a video",
		Given:       stored,
		Method:      http.MethodGet, Path: "/video", Query: url.Values{"id": {pactVideo}, "view": {oneView}}, Headers: headers,
		Status: http.StatusPartialContent,
		AnswerHeaders: map[string]pacttest.Matcher{
			"Content-Type": pacttest.Exactly("video/mp4"), "Content-Range": pacttest.Exactly("bytes 0-3/10"),
		},
		RawAnswer: "0123",
	}, func(base *url.URL) error {
		res := throughGateway(t, config{streams: base}, http.MethodGet, "/api/video?id="+pactVideo+"&view="+oneView, "", "Range", "bytes=0-3")
		return errors.Join(equal("status", res.Code, http.StatusPartialContent), equal("bytes", res.Body.String(), "0123"),
			equal("Content-Range", res.Header().Get("Content-Range"), "bytes 0-3/10"))
	})
	c.Exchange(pacttest.Exchange{
		Description: "a video that is not there",
		Given:       pacttest.State{Name: "there are no videos"},
		Method:      http.MethodGet, Path: "/video", Query: url.Values{"id": {"none"}}, Headers: ofViewer(),
		Status: http.StatusNotFound, AnswerHeaders: pacttest.JSON(), Answer: pacttest.Error(codes.VideoNotFound),
	}, func(base *url.URL) error {
		res := throughGateway(t, config{streams: base}, http.MethodGet, "/api/video?id=none", "")
		return equal("status", res.Code, http.StatusNotFound)
	})
	c.Exchange(pacttest.Exchange{
		Description: "the poster of a video",
		Given:       pacttest.State{Name: "there is a video with a poster", Params: map[string]any{"id": pactVideo}},
		Method:      http.MethodGet, Path: "/poster", Query: url.Values{"id": {pactVideo}}, Headers: ofViewer(),
		Status: http.StatusOK, AnswerHeaders: map[string]pacttest.Matcher{"Content-Type": pacttest.Exactly("image/jpeg")},
	}, func(base *url.URL) error {
		res := throughGateway(t, config{streams: base}, http.MethodGet, "/api/poster?id="+pactVideo, "")
		return equal("status", res.Code, http.StatusOK)
	})
}

func TestPactConsumerOfVideoUpload(t *testing.T) {
	c := pacttest.NewConsumer(t, "gateway", "video-upload")
	client := httpclient.New(httpclient.NewTransport())
	headers := ofViewer()
	headers[web.ClientHeader] = pacttest.AnyString("192.0.2.1")
	headers["Content-Type"] = pacttest.Exactly("application/octet-stream")
	headers["File-Name"] = pacttest.Matching("My%20holiday.mov", `^[A-Za-z0-9%._-]+$`)
	upload := pacttest.Exchange{
		Description: "a whole file",
		Given:       pacttest.State{Name: "the storage has space"},
		Method:      http.MethodPost, Path: "/upload", Headers: headers,
		RawBody: "\x00\x00\x00\x08wide\x00\x00\x00\x08moov",
		Status:  http.StatusCreated,
	}
	send := func(base *url.URL, contentType, body string) error {
		return services.NewVideoUpload(client, base).Upload(t.Context(), pactViewer, "192.0.2.1", "My holiday.mov",
			contentType, strings.NewReader(body))
	}
	c.Exchange(upload, func(base *url.URL) error { return send(base, "application/octet-stream", upload.RawBody) })
	text := upload
	text.Description = "a file that is no video"
	text.RawBody, text.Headers = "no video", maps.Clone(headers)
	text.Headers["Content-Type"] = pacttest.Exactly("text/plain")
	text.Status, text.AnswerHeaders, text.Answer = http.StatusUnsupportedMediaType, pacttest.JSON(), pacttest.Error(codes.NotPlayable)
	c.Exchange(text, func(base *url.URL) error {
		return answered(send(base, "text/plain", text.RawBody), http.StatusUnsupportedMediaType, codes.NotPlayable)
	})
	const uploadID = "3f0e7c5a-6a53-4a0e-9c2e-6f1d2b7a9c10"
	begun := pacttest.State{Name: "an upload is unfinished", Params: map[string]any{"id": uploadID, "owner": pactViewer}}
	c.Exchange(pacttest.Exchange{
		Description: "the unfinished uploads of a viewer",
		Given:       begun,
		Method:      http.MethodGet, Path: "/uploads", Headers: ofViewer(),
		Status: http.StatusOK, AnswerHeaders: pacttest.JSON(),
		Answer: map[string]any{"uploads": pacttest.Each(map[string]any{
			"id": pacttest.AnyString(uploadID), "fileName": pacttest.AnyString("My holiday.mp4"),
			"size": pacttest.AnyInteger(100), "offset": pacttest.AnyInteger(0),
		})},
	}, func(base *url.URL) error {
		ups, err := services.NewVideoUpload(client, base).Unfinished(t.Context(), pactViewer)
		return errors.Join(err, equal("unfinished", ups, []services.Upload{{ID: uploadID, FileName: "My holiday.mp4", Size: 100}}))
	})
	headers = ofViewer()
	headers["Tus-Resumable"] = pacttest.Exactly("1.0.0")
	c.Exchange(pacttest.Exchange{
		Description: "a viewer removes an unfinished upload",
		Given:       begun,
		Method:      http.MethodDelete, Path: "/uploads/" + uploadID, Headers: maps.Clone(headers),
		Status: http.StatusNoContent,
	}, func(base *url.URL) error {
		return services.NewVideoUpload(client, base).Remove(t.Context(), pactViewer, uploadID)
	})
	headers["Upload-Length"] = pacttest.Matching("100", `^\d+$`)
	headers["Upload-Metadata"] = pacttest.Matching("filename bXkud2VibQ==", `^filename .+$`)
	c.Exchange(pacttest.Exchange{
		Description: "a resumable upload begins",
		Given:       pacttest.State{Name: "the storage has space"},
		Method:      http.MethodPost, Path: "/uploads", Headers: headers,
		Status: http.StatusCreated,
		AnswerHeaders: map[string]pacttest.Matcher{
			"Location": pacttest.Matching("/uploads/u1", `/uploads/[A-Za-z0-9_-]{1,64}$`), "Tus-Resumable": pacttest.Exactly("1.0.0"),
		},
	}, func(base *url.URL) error {
		res := throughGateway(t, config{upload: base}, http.MethodPost, "/api/uploads", "",
			"Tus-Resumable", "1.0.0", "Upload-Length", "100", "Upload-Metadata", "filename bXkud2VibQ==")
		body, _ := io.ReadAll(res.Body)
		return errors.Join(equal("status "+string(body), res.Code, http.StatusCreated),
			equal("Location", res.Header().Get("Location"), "/api/uploads/u1"))
	})
}
