// History remembers who watched what, and when.
//
//	POST /viewed               takes one viewed message directly (204)
//	GET  /history?skip=&limit= newest first: of the viewer in X-Viewer-Id, or of everyone without one. A viewer's
//	                           own views have the position and duration of the video, in seconds, if known
//
// and for the viewer in X-Viewer-Id alone:
//
//	DELETE /history                 clears it
//	DELETE /viewed?id=              removes one view, and the position in its video
//	PUT    /position?video=         {"position":…,"duration":…}, in seconds: where the viewer is now (204)
//	GET    /position?video=         {"position":{…}}, or 404
//	GET    /positions?skip=&limit=  {"positions":[…]}, the last saved first
//
// It listens to the queue history.viewed (the exchange viewed), to the single-recipient queue viewed, and
// to history.video-removed (the exchange video-removed).
//
// Variables: PORT, RABBIT, DBHOST, DBNAME; optionally HOST.
package main

import (
	"context"
	"io"

	"flixtube/chassis/database"
	"flixtube/chassis/messaging"
	"flixtube/chassis/process"
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
	broker, err := messaging.Connect(cfg.rabbit)
	if err != nil {
		return err
	}
	defer broker.Close()

	s := newStore(db)
	return process.Service{
		Addr:       cfg.addr,
		Handler:    newHandler(s, log, database.Check(db), messaging.Check(broker)),
		Log:        log,
		Background: messaging.Consumers(broker, log, subscriptions(s)...),
	}.Run(ctx)
}
