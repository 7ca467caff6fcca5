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
	port, rabbit := os.Getenv("PORT"), os.Getenv("RABBIT")
	if port == "" || rabbit == "" {
		return errors.New("PORT or RABBIT is missing, as in PORT=4002 RABBIT=amqp://guest:guest@localhost:5672")
	}
	e := echo.New()
	e.HideBanner = true
	e.GET("/history", getHistory)
	failed := make(chan error, 2)
	go func() { failed <- consume(rabbit) }()
	go func() { failed <- e.Start(":" + port) }()
	return <-failed
}

func getHistory(c echo.Context) error {
	views, err := list()
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"history": views})
}
