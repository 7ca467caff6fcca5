package edge

import (
	"net/http"
	"strconv"
	"sync"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

// How much may be in flight at once. A browser opens six connections to a site. A stream holds a connection on both
// sides of the gateway, and some hundred kilobytes, for as long as its client reads slowly.
const (
	StreamsPerViewer   = 16 // players in as many tabs
	StreamsPerAddress  = 128
	RequestsPerAddress = 256 // streams and uploads included
)

// retryInFlight is the Retry-After of a request that is one too many, in seconds.
const retryInFlight = 5

// InFlight bounds the requests that are in flight at once, of a viewer and of a network address; 0 is no bound.
type InFlight struct {
	perViewer, perAddress int

	mu    sync.Mutex
	count map[string]int // by client
}

// NewInFlight returns one that has its own counts.
func NewInFlight(perViewer, perAddress int) *InFlight {
	return &InFlight{perViewer: perViewer, perAddress: perAddress, count: map[string]int{}}
}

// Bound answers 429 to a request over the bounds.
func (f *InFlight) Bound(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		clients := clientsOf(c.Request())
		if !f.enter(clients) {
			c.Response().Header().Set("Retry-After", strconv.Itoa(retryInFlight))
			return web.Errorf(http.StatusTooManyRequests, codes.TooManyRequests, "too many requests at once, try again in %d s", retryInFlight).
				With("seconds", retryInFlight)
		}
		defer f.leave(clients)
		return next(c)
	}
}

// enter counts a request for all of its clients, or for none.
func (f *InFlight) enter(clients []client) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range clients {
		limit := f.perAddress
		if c.viewers == 1 {
			limit = f.perViewer
		}
		if limit > 0 && f.count[c.key] >= limit {
			return false
		}
	}
	for _, c := range clients {
		f.count[c.key]++
	}
	return true
}

func (f *InFlight) leave(clients []client) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range clients {
		if f.count[c.key]--; f.count[c.key] == 0 {
			delete(f.count, c.key)
		}
	}
}
