// Package services has a typed client for each service that the gateway asks. Each method makes one request on behalf of
// a viewer, within the time that its context has. A service that answers with an error gives an *httpclient.StatusError.
package services

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"flixtube/chassis/httpclient"
	"flixtube/chassis/web"
)

// Clients are all of them.
type Clients struct {
	Metadata        Metadata
	History         History
	Recommendations Recommendations
	VideoUpload     VideoUpload
}

// client is one service at its base URL.
type client struct {
	http *http.Client
	base *url.URL
}

func (c client) get(ctx context.Context, viewer, path string, query url.Values, v any) error {
	req, err := c.newRequest(ctx, viewer, http.MethodGet, path, query, nil)
	if err != nil {
		return err
	}
	if err := httpclient.GetJSON(c.http, req, v); err != nil {
		return fmt.Errorf("get %s: %w", path, err)
	}
	return nil
}

// change sends body, if it is not nil, as JSON.
func (c client) change(ctx context.Context, viewer, method, path string, query url.Values, body any) error {
	req, err := c.newJSONRequest(ctx, viewer, method, path, query, body)
	if err != nil {
		return err
	}
	if err := httpclient.Send(c.http, req); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// post is change for a POST whose answer matters.
func (c client) post(ctx context.Context, viewer, path string, body, v any) error {
	req, err := c.newJSONRequest(ctx, viewer, http.MethodPost, path, nil, body)
	if err != nil {
		return err
	}
	if err := httpclient.GetJSON(c.http, req, v); err != nil {
		return fmt.Errorf("post %s: %w", path, err)
	}
	return nil
}

func (c client) newJSONRequest(ctx context.Context, viewer, method, path string, query url.Values, body any) (*http.Request, error) {
	var content []byte
	if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	return c.newRequest(ctx, viewer, method, path, query, content)
}

func (c client) newRequest(ctx context.Context, viewer, method, path string, query url.Values, body []byte) (*http.Request, error) {
	address := c.base.JoinPath(path)
	address.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, address.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set(web.ViewerHeader, viewer)
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// hasCode reports whether err is an answer with one of these codes.
func hasCode(err error, codes ...string) bool {
	var answer *httpclient.StatusError
	return errors.As(err, &answer) && slices.Contains(codes, answer.Code)
}

func paging(skip, limit int64) url.Values {
	query := url.Values{"limit": {strconv.FormatInt(limit, 10)}}
	if skip > 0 {
		query.Set("skip", strconv.FormatInt(skip, 10))
	}
	return query
}

// idQuery names each id once, always in the same order.
func idQuery(ids []string) url.Values {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return url.Values{"id": slices.Compact(ids)}
}
