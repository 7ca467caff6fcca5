// Gateway is the one address of the site. It composes pages and passes on the rest.
package main

import (
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"

	"github.com/labstack/echo/v4"
)

//go:embed pages.html
var html string

var pages = template.Must(template.New("pages").Parse(html))

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gateway:", err)
		os.Exit(1)
	}
}

type gateway struct{ metadata, recommendations, history *url.URL }

func run() error {
	var missing []string
	service := func(name string) *url.URL {
		u, err := url.Parse(os.Getenv(name))
		if err != nil || u.Host == "" {
			missing = append(missing, name)
		}
		return u
	}
	g := gateway{service("METADATA"), service("RECOMMENDATIONS"), service("HISTORY")}
	streaming, upload := service("VIDEO_STREAMING"), service("VIDEO_UPLOAD")
	if len(missing) > 0 {
		return fmt.Errorf("missing, or not like http://localhost:4001: %s", strings.Join(missing, ", "))
	}
	e := echo.New()
	e.HideBanner = true
	e.GET("/", g.getHome)
	e.GET("/video", getVideo)
	e.GET("/api/video", proxy(streaming, "/video"))
	e.POST("/api/upload", proxy(upload, "/upload"))
	return e.Start(":" + os.Getenv("PORT"))
}

func getVideo(c echo.Context) error {
	return render(c, "video", c.QueryParam("id"))
}

func render(c echo.Context, name string, data any) error {
	var html strings.Builder
	if err := pages.ExecuteTemplate(&html, name, data); err != nil {
		return err
	}
	return c.HTML(http.StatusOK, html.String())
}

// proxy passes requests on to a service, under the path that they have there, and its responses back.
func proxy(service *url.URL, path string) echo.HandlerFunc {
	p := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Path = path
		r.SetURL(service)
	}}
	return func(c echo.Context) error {
		p.ServeHTTP(c.Response().Writer, c.Request()) // Echo's own takes "100 Continue" for the status
		return nil
	}
}
