package edge

import (
	"math"
	"net/http"
	"strconv"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/labstack/echo/v4"
	"golang.org/x/time/rate"

	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

// What requests cost a client. The rate limit counts in the same unit.
const (
	CostRequest = 1
	CostUpload  = 10
)

const (
	burst             = 10 // seconds' worth of requests that may come at once
	viewersPerAddress = 10 // an address may ask as much as so many viewers
	maxClients        = 20_000
)

// client is a viewer or a network address.
type client struct {
	key     string
	viewers int64 // as many as this client counts for
}

// Limiter limits the rate of requests, both of the viewer in the cookie and of the network address: one client can have
// any number of cookies. Many viewers may share an address, so an address has a higher limit.
type Limiter struct {
	perSecond int64
	buckets   *lru.Cache[string, *rate.Limiter] // of the clients that came last
}

// NewLimiter returns a Limiter that allows each viewer cost perSecond.
func NewLimiter(perSecond int64) (*Limiter, error) {
	buckets, err := lru.New[string, *rate.Limiter](maxClients)
	return &Limiter{perSecond, buckets}, err
}

func (l *Limiter) bucketOf(c client) *rate.Limiter {
	if bucket, ok := l.buckets.Get(c.key); ok {
		return bucket
	}
	perSecond := l.perSecond * c.viewers
	bucket := rate.NewLimiter(rate.Limit(perSecond), int(perSecond*burst))
	if other, ok, _ := l.buckets.PeekOrAdd(c.key, bucket); ok {
		return other // another request of this client was faster
	}
	return bucket
}

// reserve charges all of the clients, or none. It returns how long they have to wait before they can be charged.
func (l *Limiter) reserve(cost int, now time.Time, clients ...client) time.Duration {
	var reserved []*rate.Reservation
	for _, c := range clients {
		r := l.bucketOf(c).ReserveN(now, cost)
		reserved = append(reserved, r)
		if wait := r.DelayFrom(now); wait > 0 {
			for _, r := range reserved {
				r.CancelAt(now)
			}
			return wait
		}
	}
	return 0
}

// Charge returns an error with status 429, and sets Retry-After, if the request is over the limit (RFC 6585, section 4).
func (l *Limiter) Charge(c echo.Context, cost int) error {
	wait := l.reserve(cost, time.Now(), clientsOf(c.Request())...)
	if wait == 0 {
		return nil
	}
	seconds := int(math.Ceil(wait.Seconds()))
	c.Response().Header().Set("Retry-After", strconv.Itoa(seconds))
	return web.Errorf(http.StatusTooManyRequests, codes.TooManyRequests, "too many requests, try again in %d s", seconds).
		With("seconds", seconds)
}

// Costs charges each request before it is handled.
func (l *Limiter) Costs(cost int) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if err := l.Charge(c, cost); err != nil {
				return err
			}
			return next(c)
		}
	}
}

// clientsOf needs IdentifyAddress and Recognize. X-Viewer-Id is no help: it names also a viewer who has just been given an id.
// The viewer comes first: what is too much for one viewer is not charged to the others at the address.
func clientsOf(req *http.Request) []client {
	address := client{web.Client(req.Header), viewersPerAddress}
	if id := viewerOf(req).id; id != "" {
		return []client{{id, 1}, address}
	}
	return []client{address}
}
