// Metadata knows the names and facts of the videos.
//
//	GET    /videos?skip=&limit=&sort=&search=
//	                   in the order in which they came, or newest first with sort=newest; search finds a part
//	                   of the name, capital or small
//	GET    /videos?id=&id=…
//	                   those of up to 100 videos that there are, in the order of the ids
//	GET    /video?id=  one video, or 404
//	PATCH  /video?id=  {"name":"..."} renames it; only its owner may, the viewer in X-Viewer-Id
//	DELETE /video?id=  removes it; only its owner may; a second time is 204 too
//
// A video has the fields _id, name, contentType, size, duration (in seconds), poster (true if it has one), owner and
// uploadedAt, as far as they are known; one that another program has stored has what that chose.
//
// It listens to the queue metadata.video-uploaded (the exchange video-uploaded) and tells the exchange
// video-removed what was removed.
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

	videos := newStore(db)
	announcer := newAnnouncer(videos, func(ctx context.Context, msgs []messaging.Message) error {
		return broker.Publish(ctx, removedTo, msgs)
	}, log)
	return process.Service{
		Addr:       cfg.addr,
		Handler:    newHandler(videos, announcer.wake, log, database.Check(db), messaging.Check(broker)),
		Log:        log,
		Background: append(messaging.Consumers(broker, log, subscriptions(videos)...), announcer.run),
	}.Run(ctx)
}
