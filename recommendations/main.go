// Recommendations suggests videos to watch next, and counts the views of videos.
//
//	GET /recommendations?limit=&video=  for the viewer in X-Viewer-Id, or for any viewer without that header; video is
//	                                    the one being watched. At most 50, by default 10. "known" is whether the viewer
//	                                    has watched anything
//	GET /views?id=&id=…                 {"views":{"<id>":3}}: how many views each of up to 100 videos has
//
// What counts as a view: a viewer, a video and a half hour, beginning at minute 0 or 30 of UTC. Who reloads a page, or watches
// a video twice in a half hour, is counted once. A document of a version that counted viewers is one view.
//
// First come the videos that were also watched by viewers of the videos that you watched ("co-viewed"), then those that
// most viewers watched lately ("popular"), then those that metadata lists as the newest ("new"). Videos that you have
// watched are never among them. A view without a viewer counts as one by another viewer.
//
// The popular videos, the newest, and the counts of views may be 10 seconds old; if looking them up takes more than a quarter
// of a second, 40 times as old as that.
//
// It consumes the queues recommendations.viewed (of the exchange viewed) and recommendations.video-removed (of the
// exchange video-removed).
//
// Variables: PORT, RABBIT, DBHOST, DBNAME; optionally HOST and METADATA_URL (http://metadata).
package main

import (
	"context"
	"io"

	"flixtube/chassis/database"
	"flixtube/chassis/messaging"
	"flixtube/chassis/messaging/brokers"
	"flixtube/chassis/process"
	"flixtube/chassis/web"
)

func main() { process.Main(run) }

func run(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
	cfg, err := readConfig(getenv)
	if err != nil {
		return err
	}
	log := process.NewLogger(stdout, cfg.logLevel)
	db, err := database.Connect(cfg.dbHost, cfg.dbName)
	if err != nil {
		return err
	}
	defer db.Close()
	broker, err := brokers.Connect(cfg.rabbit)
	if err != nil {
		return err
	}
	defer broker.Close()

	views, videos := newStore(db), newMetadata(cfg.metadata)
	consumers := messaging.NewConsumers(broker, log, subscriptions(views)...)
	return process.Service{
		Addr:       cfg.addr,
		Handler:    web.Inner(newHandler(views, videos, log, append(consumers.Checks(), database.Check(db), messaging.Check(broker), videos.check())...)),
		Log:        log,
		Background: []func(context.Context) error{consumers.Run},
	}.Run(ctx)
}
