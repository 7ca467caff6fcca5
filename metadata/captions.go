package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"golang.org/x/text/language"

	"flixtube/chassis/database"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
	"flixtube/contracts/limits"
	"flixtube/metadata/internal/webvtt"
)

const (
	maxCues      = 10_000 // of a file
	maxLanguages = 20     // of a video
)

// captions are those of a video in one language. They are in a collection of their own, because lists of videos do not need
// them. The video's document has the languages: captions that it does not name do not exist.
type captions struct {
	ID    string `bson:"_id"`   // see captionsID
	Video string `bson:"video"` // its id
	Text  string `bson:"text"`  // WebVTT
}

const languagesField = "captions"

var (
	errNoCaptions       = errors.New("the video has no captions in this language")
	errTooManyLanguages = errors.New("the video has captions in too many languages")
)

// captionsID never gives two videos the same: a language has no space.
func captionsID(video, language string) string { return language + " " + video }

// languagesOf returns those in which a video has captions.
func languagesOf(document bson.D) (languages []string) {
	list, _ := field(document, languagesField).(bson.A)
	for _, l := range list {
		if name, ok := l.(string); ok {
			languages = append(languages, name)
		}
	}
	return languages
}

// putCaptions replaces the captions in this language. The text is stored before the video names its language, in a write that
// fails for a removed video: what that leaves is deleted here, or after a kill by forgetCaptions.
func (s *store) putCaptions(ctx context.Context, id, owner, language, text string) error {
	document, err := s.findOwned(ctx, id, owner)
	if err != nil {
		return err
	}
	if known := languagesOf(document); len(known) >= maxLanguages && !slices.Contains(known, language) {
		return errTooManyLanguages
	}
	c := captions{captionsID(id, language), id, text}
	if _, err := s.captions.ReplaceOne(ctx, bson.D{{Key: "_id", Value: c.ID}}, c, options.Replace().SetUpsert(true)); err != nil {
		return fmt.Errorf("store captions: %w", err)
	}
	err = s.changeLanguages(ctx, document, owner, "$addToSet", language)
	if errors.Is(err, errNoVideo) {
		err = errors.Join(err, s.deleteCaptions(ctx, c.ID))
	}
	return err
}

// removeCaptions deletes the captions in this language, if there are any.
func (s *store) removeCaptions(ctx context.Context, id, owner, language string) error {
	document, err := s.findOwned(ctx, id, owner)
	if err != nil {
		return err
	}
	if err := s.changeLanguages(ctx, document, owner, "$pull", language); err != nil {
		return err
	}
	return s.deleteCaptions(ctx, captionsID(id, language))
}

func (s *store) changeLanguages(ctx context.Context, document bson.D, owner, operator, language string) error {
	err := s.videos.FindOneAndUpdate(ctx, owned(document, owner),
		bson.D{{Key: operator, Value: bson.D{{Key: languagesField, Value: language}}}}).Err()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return errNoVideo // removed since it was looked up
	}
	if err != nil {
		return fmt.Errorf("change the languages of captions: %w", err)
	}
	return nil
}

func (s *store) deleteCaptions(ctx context.Context, id string) error {
	if _, err := s.captions.DeleteOne(ctx, bson.D{{Key: "_id", Value: id}}); err != nil {
		return fmt.Errorf("delete captions: %w", err)
	}
	return nil
}

// findCaptions returns them as WebVTT, or errNoVideo or errNoCaptions.
func (s *store) findCaptions(ctx context.Context, id, language string) (string, error) {
	document, err := s.find(ctx, id)
	if err != nil {
		return "", err
	}
	if !slices.Contains(languagesOf(document), language) {
		return "", errNoCaptions
	}
	found, err := database.ByIDs[captions](ctx, s.captions, []string{captionsID(id, language)})
	if err != nil {
		return "", fmt.Errorf("look up captions: %w", err)
	}
	if len(found) == 0 {
		return "", errNoCaptions // removed since
	}
	return found[0].Text, nil
}

// forgetCaptions deletes captions of videos that do not exist: a kill has left them, between the two writes of putCaptions,
// while the video was removed.
func (s *store) forgetCaptions(ctx context.Context) error {
	all, err := database.All[captions](ctx, s.captions, bson.D{}, options.Find().SetProjection(bson.D{{Key: "video", Value: 1}}))
	if err != nil {
		return fmt.Errorf("list captions: %w", err)
	}
	for part := range slices.Chunk(all, limits.IDs) {
		var ids []string
		for _, c := range part {
			ids = append(ids, c.Video)
		}
		found, err := s.lookUpAll(ctx, ids)
		if err != nil {
			return err
		}
		for _, c := range part {
			if document, ok := found[c.Video]; ok && !isRemoved(document) {
				continue
			}
			if err := s.deleteCaptions(ctx, c.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// languageOf returns the tag of a request's language in its usual spelling, such as en, ko or zh-Hant.
func languageOf(c echo.Context) (string, error) {
	tag, err := language.Parse(c.QueryParam("language"))
	if err != nil || tag.IsRoot() || len(tag.String()) > limits.Language {
		return "", web.Errorf(http.StatusBadRequest, codes.InvalidLanguage, "language must be a tag such as en, ko or zh-Hant")
	}
	return tag.String(), nil
}

var captionFaults = map[webvtt.Reason]string{
	webvtt.NotText: codes.CaptionsNotText, webvtt.NoTiming: codes.CaptionsNoTiming, webvtt.Backwards: codes.CaptionsBackwards,
	webvtt.NoBlank: codes.CaptionsNoBlank, webvtt.TooMany: codes.CaptionsTooMany, webvtt.Empty: codes.CaptionsEmpty,
}

func (h handler) putCaptions(c echo.Context) error {
	viewer, err := web.RequireViewer(c.Request().Header)
	if err != nil {
		return err
	}
	lang, err := languageOf(c)
	if err != nil {
		return err
	}
	file, err := web.ReadBody(c.Response(), c.Request(), limits.Captions)
	if err != nil {
		return err
	}
	text, err := webvtt.Convert(file, maxCues)
	var fault *webvtt.Error
	if errors.As(err, &fault) {
		return web.Errorf(http.StatusBadRequest, captionFaults[fault.Reason], "%s", fault).With("line", fault.Line).With("max", maxCues)
	}
	if err != nil {
		return err
	}
	if err := h.videos.putCaptions(c.Request().Context(), c.QueryParam("id"), viewer, lang, string(text)); err != nil {
		return failure(err)
	}
	return c.NoContent(http.StatusNoContent)
}

func (h handler) deleteCaptions(c echo.Context) error {
	viewer, err := web.RequireViewer(c.Request().Header)
	if err != nil {
		return err
	}
	lang, err := languageOf(c)
	if err != nil {
		return err
	}
	if err := h.videos.removeCaptions(c.Request().Context(), c.QueryParam("id"), viewer, lang); err != nil {
		return failure(err)
	}
	return c.NoContent(http.StatusNoContent)
}

func (h handler) getCaptions(c echo.Context) error {
	lang, err := languageOf(c)
	if err != nil {
		return err
	}
	text, err := h.videos.findCaptions(c.Request().Context(), c.QueryParam("id"), lang)
	if err != nil {
		return failure(err)
	}
	sum := sha256.Sum256([]byte(text))
	header := c.Response().Header()
	header.Set("Content-Type", "text/vtt; charset=utf-8")
	header.Set("ETag", `"`+hex.EncodeToString(sum[:16])+`"`)
	http.ServeContent(c.Response(), c.Request(), "", time.Time{}, bytes.NewReader([]byte(text)))
	return nil
}
