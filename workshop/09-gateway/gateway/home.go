package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
)

// page holds the services' answers.
type page struct {
	Metadata struct {
		Videos []struct {
			ID   string `json:"_id"`
			Name string `json:"name"`
		} `json:"videos"`
	}
	Recommendations struct {
		Views map[string]int `json:"views"`
	}
	History struct {
		History []struct {
			ViewedAt time.Time `json:"viewedAt"`
			Video    struct {
				ID string `json:"id"`
			} `json:"video"`
		} `json:"history"`
	}
	Missing []string // the names of the parts that did not come
}

// Name returns a video's name, or its id while metadata's part is missing.
func (p *page) Name(id string) string {
	for _, v := range p.Metadata.Videos {
		if v.ID == id {
			return v.Name
		}
	}
	return id
}

// part is what one service knows.
type part struct {
	name    string
	service *url.URL
	path    string
	answer  any
}

func (p part) get(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.service.JoinPath(p.path).String(), nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", request.URL, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(p.answer)
}

func (g gateway) getHome(c echo.Context) error {
	var p page
	parts := []part{
		{"The list of videos", g.metadata, "videos", &p.Metadata},
		{"What is popular", g.recommendations, "recommendations", &p.Recommendations},
		{"What was watched", g.history, "history", &p.History},
	}
	failed := make([]error, len(parts))
	var all sync.WaitGroup
	for i, part := range parts {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(c.Request().Context(), 2*time.Second)
			defer cancel()
			failed[i] = part.get(ctx)
		})
	}
	all.Wait()
	for i, err := range failed {
		if err != nil {
			fmt.Fprintln(os.Stderr, "gateway: a page without a part:", err)
			p.Missing = append(p.Missing, parts[i].name)
		}
	}
	return render(c, "home", &p)
}
