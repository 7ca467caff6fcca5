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

	"flixtube/chassis"
)

const (
	burst      = 10     // seconds' worth of requests that may come at once
	crowd      = 10     // viewers for which an address may ask
	uploadCost = 10     // requests that an upload counts as
	maxCallers = 10_000 // callers known at a time, twice over
)

// limiter counts what each caller asks for. A caller is the viewer of the cookie or, without one, the network
// address. That may be many viewers', who get their cookies only now, so it has more.
type limiter struct {
	perSecond int64

	mu             sync.Mutex
	recent, before map[string]*rate.Limiter
}

func newLimiter(perSecond int64) *limiter {
	return &limiter{perSecond: perSecond, recent: map[string]*rate.Limiter{}}
}

// of forgets callers half of the memory at a time: those that have not come for longest.
func (l *limiter) of(caller string, viewers int64) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket := l.recent[caller]
	if bucket != nil {
		return bucket
	}
	if bucket = l.before[caller]; bucket == nil {
		bucket = rate.NewLimiter(rate.Limit(l.perSecond*viewers), int(l.perSecond*viewers*burst))
	}
	if len(l.recent) >= maxCallers {
		l.recent, l.before = map[string]*rate.Limiter{}, l.recent
	}
	l.recent[caller] = bucket
	return bucket
}

// take returns how long the caller has to wait, or 0 if it need not.
func (l *limiter) take(caller string, viewers int64, cost int, now time.Time) time.Duration {
	turn := l.of(caller, viewers).ReserveN(now, cost)
	wait := turn.DelayFrom(now)
	if wait > 0 {
		turn.CancelAt(now)
	}
	return wait
}

// costs refuses requests beyond the limit with 429 and Retry-After (RFC 6585 section 4).
func (l *limiter) costs(cost int) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			caller, viewers := callerOf(c.Request())
			wait := l.take(caller, viewers, cost, time.Now())
			if wait == 0 {
				return next(c)
			}
			seconds := int(math.Ceil(wait.Seconds()))
			c.Response().Header().Set("Retry-After", strconv.Itoa(seconds))
			err := chassis.Errorf(http.StatusTooManyRequests, "too many requests, try again in %d s", seconds)
			if cost < uploadCost {
				return err
			}
			finish := answerWhileSending(c)
			c.Error(err)
			finish()
			return nil
		}
	}
}

// callerOf looks at the cookie itself: everybody has got an id by now. An IPv6 network of 64 bits is one caller.
func callerOf(req *http.Request) (caller string, viewers int64) {
	if id := viewerOf(req); id != "" {
		return id, 1
	}
	host, _, _ := net.SplitHostPort(req.RemoteAddr)
	address, err := netip.ParseAddr(host)
	if err != nil {
		return host, crowd
	}
	if address = address.Unmap(); address.Is6() {
		network, _ := address.WithZone("").Prefix(64)
		return network.String(), crowd
	}
	return address.String(), crowd
}
