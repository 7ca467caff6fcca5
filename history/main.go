// History remembers who watched what, and when.
//
//	POST /viewed                the body is one viewed message (204)
//	GET  /history?skip=&limit=  newest first: of the viewer in X-Viewer-Id, or of all viewers without that header. The
//	                            views of one viewer have the position and duration of the video, in seconds, if known;
//	                            with by=day only the latest view of each video on each day in UTC
//
// These need the viewer in X-Viewer-Id:
//
//	DELETE /history                 clears the viewer's history
//	DELETE /viewed?id=              removes one view, and the position in its video; with by=day, also the other views
//	                                of the video on that day
//	PUT    /position?video=         {"position":…,"duration":…}, in seconds: where the viewer is now (204)
//	GET    /position?video=         {"position":{…}}, or 404
//	GET    /positions?skip=&limit=  {"positions":[…]}, the last saved first
//
// It consumes the queues history.viewed (of the exchange viewed), viewed (with a single recipient) and
// history.video-removed (of the exchange video-removed).
//
// Variables: PORT, RABBIT, DBHOST, DBNAME; optionally HOST.
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

	s := newStore(db)
	consumers := messaging.NewConsumers(broker, log, subscriptions(s)...)
	return process.Service{
		Addr:       cfg.addr,
		Handler:    web.Inner(newHandler(s, log, append(consumers.Checks(), database.Check(db), messaging.Check(broker))...)),
		Log:        log,
		Background: []func(context.Context) error{consumers.Run},
	}.Run(ctx)
}
