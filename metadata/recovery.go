package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"flixtube/chassis/database"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

// recovery is what is stored of the code with which another browser becomes this viewer: not the code itself. A viewer has one
// at most, so that a new code makes the old one invalid.
type recovery struct {
	Viewer string    `bson:"_id" json:"-"`
	Hash   string    `bson:"hash" json:"-"` // see hashOf
	MadeAt time.Time `bson:"madeAt" json:"madeAt"`
}

var (
	errNoRecovery   = errors.New("there is no such recovery code")
	errNothingOwned = errors.New("the viewer has no videos")
)

var (
	codePattern = regexp.MustCompile(`^[A-Z2-7]{32}$`)
	codeFillers = strings.NewReplacer("-", "", " ", "", "\t", "", "\r", "", "\n", "")
)

// newCode returns 160 random bits, as groups of letters and digits of which none looks like another.
func newCode() string {
	var random [20]byte
	_, _ = rand.Read(random[:]) // never fails
	var groups []string
	for group := range slices.Chunk([]byte(base32.StdEncoding.EncodeToString(random[:])), 4) {
		groups = append(groups, string(group))
	}
	return strings.Join(groups, "-")
}

// hashOf returns the hash of a code that somebody has typed, or "" if it cannot be one. A guess needs 2¹⁶⁰ tries, so the hash
// needs neither salt nor time.
func hashOf(code string) string {
	code = strings.ToUpper(codeFillers.Replace(code))
	if !codePattern.MatchString(code) {
		return ""
	}
	sum := sha256.Sum256([]byte(code))
	return hex.EncodeToString(sum[:])
}

// makeRecovery returns a new code for a viewer who owns a video, or errNothingOwned: there are never more codes than videos.
func (s *store) makeRecovery(ctx context.Context, viewer string) (code string, made recovery, err error) {
	owned, err := s.list(ctx, query{owner: viewer, limit: 1})
	if err != nil {
		return "", made, err
	}
	if len(owned) == 0 {
		return "", made, errNothingOwned
	}
	code = newCode()
	made = recovery{viewer, hashOf(code), time.Now().UTC()}
	_, err = s.recoveries.ReplaceOne(ctx, bson.D{{Key: "_id", Value: viewer}}, made, options.Replace().SetUpsert(true))
	if err != nil {
		return "", made, fmt.Errorf("store a recovery code: %w", err)
	}
	return code, made, nil
}

// findRecovery returns a viewer's, or errNoRecovery.
func (s *store) findRecovery(ctx context.Context, viewer string) (recovery, error) {
	return s.oneRecovery(ctx, bson.D{{Key: "_id", Value: viewer}})
}

// recoveryByCode returns the recovery of a code, or errNoRecovery.
func (s *store) recoveryByCode(ctx context.Context, code string) (recovery, error) {
	hash := hashOf(code)
	if hash == "" {
		return recovery{}, errNoRecovery
	}
	return s.oneRecovery(ctx, bson.D{{Key: "hash", Value: hash}})
}

func (s *store) oneRecovery(ctx context.Context, filter bson.D) (recovery, error) {
	found, err := database.All[recovery](ctx, s.recoveries, filter)
	if err != nil {
		return recovery{}, fmt.Errorf("look up a recovery code: %w", err)
	}
	if len(found) == 0 {
		return recovery{}, errNoRecovery
	}
	return found[0], nil
}

// revokeRecovery makes a viewer's code invalid, if there is one.
func (s *store) revokeRecovery(ctx context.Context, viewer string) error {
	if _, err := s.recoveries.DeleteOne(ctx, bson.D{{Key: "_id", Value: viewer}}); err != nil {
		return fmt.Errorf("revoke a recovery code: %w", err)
	}
	return nil
}

func (h handler) getRecovery(c echo.Context) error {
	viewer, err := web.RequireViewer(c.Request().Header)
	if err != nil {
		return err
	}
	found, err := h.videos.findRecovery(c.Request().Context(), viewer)
	if err != nil {
		return failure(err)
	}
	return c.JSON(http.StatusOK, map[string]any{"recovery": found})
}

// postRecovery is the only answer that has the code.
func (h handler) postRecovery(c echo.Context) error {
	viewer, err := web.RequireViewer(c.Request().Header)
	if err != nil {
		return err
	}
	code, made, err := h.videos.makeRecovery(c.Request().Context(), viewer)
	if err != nil {
		return failure(err)
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(http.StatusCreated, map[string]any{"code": code, "recovery": made})
}

func (h handler) deleteRecovery(c echo.Context) error {
	viewer, err := web.RequireViewer(c.Request().Header)
	if err != nil {
		return err
	}
	if err := h.videos.revokeRecovery(c.Request().Context(), viewer); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// useRecovery answers with the viewer whose code it is.
func (h handler) useRecovery(c echo.Context) error {
	body, err := web.ReadBody(c.Response(), c.Request(), maxPatch)
	if err != nil {
		return err
	}
	var use struct {
		Code string `json:"code"`
	}
	if err := json.Unmarshal(body, &use); err != nil {
		return web.Errorf(http.StatusBadRequest, codes.InvalidBody, `the body must be JSON: {"code":"..."}`)
	}
	found, err := h.videos.recoveryByCode(c.Request().Context(), use.Code)
	if err != nil {
		return failure(err)
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(http.StatusOK, map[string]any{"viewer": map[string]string{"id": found.Viewer}})
}
