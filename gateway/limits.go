package main

import (
	"math"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/time/rate"

	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

const (
	burst      = 10     // seconds' worth of requests that may come at once
	crowd      = 10     // viewers for whom one address may ask
	uploadCost = 10     // requests that an upload counts as
	maxCallers = 10_000 // callers known at a time, twice over
)

// caller is who asks, and for how many viewers at most.
type caller struct {
	name    string
	viewers int64
}

// limiter counts what each caller asks for: the viewer of the cookie, and the network address, since anybody can have
// as many cookies as they like. Many viewers may share an address, so it has more.
type limiter struct {
	perSecond int64

	mu             sync.Mutex
	recent, before map[string]*rate.Limiter
}

func newLimiter(perSecond int64) *limiter {
	return &limiter{perSecond: perSecond, recent: map[string]*rate.Limiter{}}
}

// of forgets callers half of the memory at a time: those that have not come for longest.
func (l *limiter) of(c caller) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket := l.recent[c.name]
	if bucket != nil {
		return bucket
	}
	if bucket = l.before[c.name]; bucket == nil {
		bucket = rate.NewLimiter(rate.Limit(l.perSecond*c.viewers), int(l.perSecond*c.viewers*burst))
	}
	if len(l.recent) >= maxCallers {
		l.recent, l.before = map[string]*rate.Limiter{}, l.recent
	}
	l.recent[c.name] = bucket
	return bucket
}

// take charges all of the callers, or none, and returns how long they have to wait, or 0 if they need not.
func (l *limiter) take(cost int, now time.Time, callers ...caller) time.Duration {
	var turns []*rate.Reservation
	for _, c := range callers {
		turn := l.of(c).ReserveN(now, cost)
		turns = append(turns, turn)
		if wait := turn.DelayFrom(now); wait > 0 {
			for _, turn := range turns {
				turn.CancelAt(now)
			}
			return wait
		}
	}
	return 0
}

// charge refuses what is beyond the limit with 429 and Retry-After (RFC 6585 section 4).
func (l *limiter) charge(c echo.Context, cost int) error {
	wait := l.take(cost, time.Now(), callersOf(c.Request())...)
	if wait == 0 {
		return nil
	}
	seconds := int(math.Ceil(wait.Seconds()))
	c.Response().Header().Set("Retry-After", strconv.Itoa(seconds))
	return web.Errorf(http.StatusTooManyRequests, codes.TooManyRequests, "too many requests, try again in %d s", seconds)
}

func (l *limiter) costs(cost int) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if err := l.charge(c, cost); err != nil {
				return err
			}
			return next(c)
		}
	}
}

// callersOf looks at the cookie itself: everybody has got an id by now. The viewer comes first: what is too much for
// one is not charged to the others at the address.
func callersOf(req *http.Request) []caller {
	address := caller{addressOf(req), crowd}
	if id := viewerOf(req); id != "" {
		return []caller{{id, 1}, address}
	}
	return []caller{address}
}

// addressOf takes an IPv6 network of 64 bits for one address.
func addressOf(req *http.Request) string {
	host, _, _ := net.SplitHostPort(req.RemoteAddr)
	address, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if address = address.Unmap(); address.Is6() {
		network, _ := address.WithZone("").Prefix(64)
		return network.String()
	}
	return address.String()
}
