// Metadata knows the names of the videos.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"github.com/labstack/echo/v4"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "metadata:", err)
		os.Exit(1)
	}
}

func run() error {
	client, err := mongo.Connect(options.Client().ApplyURI(os.Getenv("DBHOST")))
	if err != nil {
		return fmt.Errorf("DBHOST: %w", err)
	}
	s := store{client.Database("metadata").Collection("videos")}
	e := echo.New()
	e.HideBanner = true
	e.GET("/videos", s.getVideos)
	e.POST("/videos", s.postVideo)
	return e.Start(":" + os.Getenv("PORT"))
}

type video struct {
	ID   string `json:"_id" bson:"_id"`
	Name string `json:"name" bson:"name"`
}

type store struct{ videos *mongo.Collection }

func (s store) list(ctx context.Context) ([]video, error) {
	cursor, err := s.videos.Find(ctx, bson.M{})
	if err != nil {
		return nil, err
	}
	videos := []video{}
	return videos, cursor.All(ctx, &videos)
}

func (s store) getVideos(c echo.Context) error {
	videos, err := s.list(c.Request().Context())
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"videos": videos})
}

func (s store) postVideo(c echo.Context) error {
	var v video
	if err := c.Bind(&v); err != nil {
		return err
	}
	if v.ID == "" || v.Name == "" {
		return echo.NewHTTPError(http.StatusBadRequest, "_id or name is missing")
	}
	_, err := s.videos.InsertOne(c.Request().Context(), v)
	if mongo.IsDuplicateKeyError(err) {
		return echo.NewHTTPError(http.StatusConflict, "there is a video with this _id")
	}
	if err != nil {
		return err
	}
	return c.NoContent(http.StatusCreated)
}
