// Video-streaming serves videos and posters from video-storage and decides what counts as a view.
//
//	GET,HEAD /video?id=[&view=]   the video, or ranges of it, as video-storage answers
//	GET,HEAD /poster?id=          its poster, as video-storage answers; counts nothing
//	GET /livez, /readyz           readyz probes video-storage and the broker; only video-storage is required
//
// One viewing is one "viewed" message, however many requests a player makes for it. The page gives the viewing a UUID,
// view, which becomes the message's id. A request without view counts when its response starts at byte 0, or, if it
// asked for several ranges, when one of them is written as starting there. HEAD, and responses other than 200 and 206,
// count nothing. X-Viewer-Id, which the gateway sets, is the viewer. The message is in the outbox before the first byte of
// the answer, and waits there until it is confirmed; the video waits for neither the disk nor the broker.
//
// Variables:
//
//	PORT               the port to listen on; HOST is by default every interface
//	OUTBOX_DIR         the directory of unsent messages
//	OUTBOX_LIMIT       how many of them at most (100000); beyond that views are lost and logged
//	VIDEO_STORAGE_URL  http://video-storage
//	VIEWED_DELIVERY    fanout (default): to the exchange "viewed", for every subscriber;
//	                   queue: to the queue "viewed", where one consumer handles it;
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
	"flixtube/chassis/web"
)

// headerTimeout is how long video-storage may take to begin its response.
const headerTimeout = 15 * time.Second

func main() { process.Main(run) }

func run(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
	cfg, err := readConfig(getenv)
	if err != nil {
		return err
	}
	log := process.NewLogger(stdout, cfg.logLevel)
	transport := newTransport(headerTimeout)
	client := httpclient.New(transport)
	checks := []health.Check{health.Service("video-storage", client, cfg.storage).Require()}

	var send relay.Send
	to := "history"
	if cfg.delivery == "direct" {
		send = direct(transport, cfg.history.JoinPath("viewed").String(), log)
		checks = append(checks, health.Service("history", client, cfg.history))
	} else {
		broker, err := brokers.Connect(cfg.rabbit)
		if err != nil {
			return err
		}
		defer broker.Close()
		send, to = broker.Publisher(destinations[cfg.delivery]).Publish, destinations[cfg.delivery].String()
		checks = append(checks, messaging.Check(broker))
	}
	box, err := outbox.Open(cfg.outboxDir, int(cfg.outboxLimit), log)
	if err != nil {
		return err
	}
	defer box.Close() // after Run, and so after the relay

	return process.Service{
		Addr:       cfg.addr,
		Handler:    web.Inner(newHandler(cfg.storage, transport, box, log, checks...)),
		Log:        log,
		Ranges:     "/video",
		Background: []func(context.Context) error{relay.New(box, send, log.With("delivery", cfg.delivery, "to", to)).Run},
	}.Run(ctx)
}

func newTransport(headerTimeout time.Duration) *http.Transport {
	t := httpclient.NewTransport()
	t.ResponseHeaderTimeout = headerTimeout
	return t
}
