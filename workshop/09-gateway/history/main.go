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
	port, rabbit, db := os.Getenv("PORT"), os.Getenv("RABBIT"), os.Getenv("DBHOST")
	if port == "" || rabbit == "" || db == "" {
		return errors.New("PORT, RABBIT or DBHOST is missing, " +
			"as in PORT=4002 RABBIT=amqp://guest:guest@localhost:5672 DBHOST=mongodb://localhost:27017")
	}
	s, err := openStore(db)
	if err != nil {
		return err
	}
	e := echo.New()
	e.HideBanner = true
	e.GET("/history", s.getHistory)
	go consumeForEver(rabbit, s)
	return e.Start(":" + port)
}

func (s *store) getHistory(c echo.Context) error {
	views, err := s.list()
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"history": views})
}
