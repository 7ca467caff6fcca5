package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"flixtube/chassis/httpclient"
	"flixtube/chassis/text"
	"flixtube/chassis/web"
)

var errVideosUsage = usageError("usage: go run ./flixtube videos list | show ID | remove ID | rename ID TITLE | rebuild")

const (
	videosPage    = 100
	videosTimeout = 30 * time.Second // of each request
)

// runVideos lists, shows, removes or renames videos of any owner, or rebuilds metadata's list of them.
func runVideos(ctx context.Context, c call) error {
	var do func(v videos) error
	switch args := c.args; {
	case len(args) == 1 && args[0] == "list":
		do = func(v videos) error { return v.list(ctx) }
	case len(args) == 2 && args[0] == "show":
		do = func(v videos) error { return v.show(ctx, args[1]) }
	case len(args) == 2 && args[0] == "remove":
		do = func(v videos) error { return v.change(ctx, args[1], http.MethodDelete, nil) }
	case len(args) == 3 && args[0] == "rename":
		do = func(v videos) error {
			return v.change(ctx, args[1], http.MethodPatch, map[string]string{"name": args[2]})
		}
	case len(args) == 1 && args[0] == "rebuild":
		do = func(v videos) error { return v.rebuild(ctx, c) }
	default:
		return errVideosUsage
	}
	base, err := serviceAddress(ctx, c, "metadata", "METADATA_URL")
	if err != nil {
		return err
	}
	return do(videos{base, &http.Client{Timeout: videosTimeout}, c.stdout})
}

// serviceAddress is that in the variable, or else that of the service in the site that runs on the data folder.
func serviceAddress(ctx context.Context, c call, service, variable string) (*url.URL, error) {
	if address := c.getenv(variable); address != "" {
		base, err := url.Parse(address)
		if err != nil || base.Host == "" {
			return nil, fmt.Errorf("%s must be an address such as http://127.0.0.1:4006", variable)
		}
		return base, nil
	}
	st, err := askStatus(ctx, c.data)
	if err != nil {
		return nil, fmt.Errorf("%w, or name the service in %s", err, variable)
	}
	for _, s := range st.Services {
		if s.Name == service {
			return &url.URL{Scheme: "http", Host: "127.0.0.1:" + s.Port}, nil
		}
	}
	return nil, fmt.Errorf("the flixtube on %s has no %s", c.data, service)
}

// videos asks metadata, which trusts every client: no route from outside leads there.
type videos struct {
	base   *url.URL
	client *http.Client
	out    io.Writer
}

// list prints all videos, newest first.
func (v videos) list(ctx context.Context) error {
	table := tabwriter.NewWriter(v.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tUPLOADED\tTITLE")
	for skip := 0; ; skip += videosPage {
		var page struct {
			Videos []struct {
				ID         string `json:"_id"`
				Name       any    `json:"name"`
				UploadedAt any    `json:"uploadedAt"`
			} `json:"videos"`
		}
		query := url.Values{"sort": {"newest"}, "limit": {strconv.Itoa(videosPage)}, "skip": {strconv.Itoa(skip)}}
		if err := v.get(ctx, "videos", query, &page); err != nil {
			return err
		}
		for _, video := range page.Videos {
			fmt.Fprintf(table, "%s\t%s\t%s\n", text.Line(video.ID), cell(video.UploadedAt), cell(video.Name))
		}
		if len(page.Videos) < videosPage {
			return table.Flush()
		}
	}
}

// cell is a field of a document, which another program may have written, as a terminal may show it.
func cell(value any) string {
	s, _ := value.(string)
	return text.Line(s)
}

func (v videos) show(ctx context.Context, id string) error {
	document, err := v.find(ctx, id)
	if err != nil {
		return err
	}
	shown, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(v.out, "%s\n", shown)
	return err
}

func (v videos) find(ctx context.Context, id string) (map[string]any, error) {
	var answer struct {
		Video map[string]any `json:"video"`
	}
	err := v.get(ctx, "video", url.Values{"id": {id}}, &answer)
	return answer.Video, err
}

// change acts for the owner, so that metadata has one way to change a video.
func (v videos) change(ctx context.Context, id, method string, body any) error {
	document, err := v.find(ctx, id)
	if err != nil {
		return err
	}
	owner, _ := document["owner"].(string)
	if owner == "" {
		return fmt.Errorf("video %s has no owner: another program has stored it, and only that can change it", id)
	}
	content, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := v.request(ctx, method, "video", url.Values{"id": {id}}, content)
	if err != nil {
		return err
	}
	req.Header.Set(web.ViewerHeader, owner)
	if err := httpclient.Send(v.client, req); err != nil {
		return fmt.Errorf("%s video %s: %w", method, id, err)
	}
	verb := map[string]string{http.MethodDelete: "removed", http.MethodPatch: "renamed"}[method]
	_, err = fmt.Fprintf(v.out, "%s %s: %s\n", verb, id, cell(document["name"]))
	return err
}

func (v videos) get(ctx context.Context, path string, query url.Values, answer any) error {
	req, err := v.request(ctx, http.MethodGet, path, query, nil)
	if err != nil {
		return err
	}
	if err := httpclient.GetJSON(v.client, req, answer); err != nil {
		return fmt.Errorf("GET %s: %w", req.URL.Redacted(), err)
	}
	return nil
}

func (v videos) request(ctx context.Context, method, path string, query url.Values, body []byte) (*http.Request, error) {
	target := v.base.JoinPath(path)
	target.RawQuery = query.Encode()
	return http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
}
