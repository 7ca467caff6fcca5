// Video-streaming passes videos and posters on from video-storage and decides what counts as a view.
//
//	GET,HEAD /video?id=[&view=]   the video, or ranges of it, as storage gives them
//	GET,HEAD /poster?id=          its poster, as storage gives it; counts nothing
//	GET /livez, /readyz           readyz asks storage and the broker; only storage is required
//
// One viewing is one "viewed" message, however many requests a player makes for it: the page names the viewing
// with a UUID, view, which becomes the message's id. A request that names none counts when its answer starts at
// byte 0, or, if it asked for several ranges, when one of these is written as starting there. HEAD, and answers
// other than 200 and 206, count nothing. X-Viewer-Id, which the gateway sets, names the viewer. A message waits
// in the outbox until somebody has confirmed it; the video waits for nothing.
//
// Its variables:
//
//	PORT               where it listens; on HOST, by default every interface
//	OUTBOX_DIR         where unsent messages are kept
//	OUTBOX_LIMIT       how many at most (100000); after that, views are lost and the log says so
//	VIDEO_STORAGE_URL  http://video-storage
//	VIEWED_DELIVERY    fanout (default): to the exchange "viewed", for everybody who listens;
//	                   queue: to the queue "viewed", where one consumer takes it;
//	                   direct: POST to history, which answers
//	RABBIT             the broker, amqp:// or nats://; not needed for direct
//	HISTORY_URL        http://history; for direct alone
package main

import (
	"context"
	"io"
	"net/http"
	"time"

	"flixtube/chassis/health"
	"flixtube/chassis/httpclient"
	"flixtube/chassis/messaging"
	"flixtube/chassis/messaging/brokers"
	"flixtube/chassis/outbox"
	"flixtube/chassis/process"
	"flixtube/chassis/relay"
)

// answerTime is how long storage may take to begin an answer.
const answerTime = 15 * time.Second

func main() { process.Main(run) }

func run(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
	cfg, err := readConfig(getenv)
	if err != nil {
		return err
	}
	log := process.NewLogger(stdout, cfg.logLevel)
	transport := newTransport(answerTime)
	client := httpclient.New(transport)
	checks := []health.Check{health.Service("video-storage", client, cfg.storage).Require()}

	var send relay.Send
	if cfg.delivery == "direct" {
		send = direct(transport, cfg.history.JoinPath("viewed").String(), log)
		checks = append(checks, health.Service("history", client, cfg.history))
	} else {
		broker, err := brokers.Connect(cfg.rabbit)
		if err != nil {
			return err
		}
		defer broker.Close()
		send = broker.Publisher(viewedTo[cfg.delivery]).Publish
		checks = append(checks, messaging.Check(broker))
	}
	box, err := outbox.Open(cfg.outboxDir, int(cfg.outboxLimit), log)
	if err != nil {
		return err
	}
	defer box.Close() // the relay has ended by then, with Run

	return process.Service{
		Addr:       cfg.addr,
		Handler:    newHandler(cfg.storage, transport, box, log, checks...),
		Log:        log,
		Background: []func(context.Context) error{relay.New(box, send, log).Run},
	}.Run(ctx)
}

func newTransport(answerTime time.Duration) *http.Transport {
	t := httpclient.NewTransport()
	t.ResponseHeaderTimeout = answerTime
	return t
}
