// History remembers which videos were watched.
package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/labstack/echo/v4"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "history:", err)
		os.Exit(1)
	}
}

func run() error {
	port := os.Getenv("PORT")
	if port == "" {
		return errors.New("the environment variable PORT is missing, as in PORT=4002")
	}
	e := echo.New()
	e.HideBanner = true
	e.POST("/viewed", postViewed)
	e.GET("/history", getHistory)
	return e.Start(":" + port)
}

func postViewed(c echo.Context) error {
	var v viewed
	if err := c.Bind(&v); err != nil {
		return err
	}
	if v.Video.ID == "" {
		return echo.NewHTTPError(http.StatusBadRequest, "video.id is missing")
	}
	if err := add(v); err != nil {
		return err
	}
	fmt.Println("viewed", v.Video.ID)
	return c.NoContent(http.StatusNoContent)
}

func getHistory(c echo.Context) error {
	views, err := list()
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"history": views})
}
