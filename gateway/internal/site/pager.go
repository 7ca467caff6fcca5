package site

import (
	"net/http"
	"net/url"
	"strconv"

	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

// errNoSuchPage does not mention skip and limit, which viewers do not know.
var errNoSuchPage = web.Errorf(http.StatusBadRequest, codes.PageNotFound, "there is no such page; check the address")

// pager has the addresses of the pages before and after, empty where there is none.
type pager struct{ Previous, Next string }

// paginate takes up to pageSize+1 items. It removes the last of those, which only shows that there is another page.
func paginate[T any](items []T, skip int64, path, search string) ([]T, pager) {
	at := func(skip int64) string {
		query := url.Values{}
		if search != "" {
			query.Set("q", search)
		}
		if skip > 0 {
			query.Set("skip", strconv.FormatInt(skip, 10))
		}
		return (&url.URL{Path: path, RawQuery: query.Encode()}).String()
	}
	var p pager
	if skip > 0 {
		p.Previous = at(skip - pageSize)
	}
	if len(items) > pageSize {
		items, p.Next = items[:pageSize], at(skip+pageSize)
	}
	return items, p
}
