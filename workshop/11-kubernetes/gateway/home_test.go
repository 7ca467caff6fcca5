package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
)

func TestHomeComesWithoutAPart(t *testing.T) {
	metadata := serve(t, `{"videos":[{"_id":"a","name":"The first"}]}`)
	history := serve(t, `{"history":[{"id":"1","viewedAt":"2026-01-02T03:04:05Z","video":{"id":"a"}}]}`)
	stopped := serve(t, "")
	stopped.Close()
	g := gateway{metadata: address(t, metadata), history: address(t, history), recommendations: address(t, stopped)}

	response := httptest.NewRecorder()
	c := echo.New().NewContext(httptest.NewRequest(http.MethodGet, "/", nil), response)
	if err := g.getHome(c); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`<a href="/video?id=a">The first</a>`,
		"<p>The first, 03:04</p>",
		"What is popular cannot be shown at the moment.",
	} {
		if !strings.Contains(response.Body.String(), want) {
			t.Errorf("the page has no %q:\n%s", want, response.Body)
		}
	}
}

func serve(t *testing.T, answer string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return server
}

func address(t *testing.T, server *httptest.Server) *url.URL {
	t.Helper()
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
