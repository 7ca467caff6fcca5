// Metadata keeps the names and facts of the videos.
//
//	GET    /videos?skip=&limit=&sort=&search=
//	                   in the order in which they were stored, or newest first with sort=newest; search finds the names
//	                   that contain all of its words, or parts of words, in any order, whatever their case and accents
//	GET    /videos?id=&id=…
//	                   up to 100 videos by their ids, in the order of the ids, without those that do not exist
//	GET    /videos/own?skip=&limit=
//	                   those of the viewer in X-Viewer-Id, newest first
//	GET    /video?id=  one video, or 404
//	PATCH  /video?id=  {"name":"..."} renames it; only for its owner, the viewer in X-Viewer-Id
//	DELETE /video?id=  removes it; only for its owner; 204 also if it is removed already
//
//	GET    /captions?id=&language=
//	                   the captions of a video as WebVTT, or 404
//	PUT    /captions?id=&language=
//	                   WebVTT or SubRip (.srt) of up to 500 kB and 10,000 captions; only for the owner. A broken file is
//	                   answered with the first line that is wrong. A video has captions in up to 20 languages
//	DELETE /captions?id=&language=
//	                   only for the owner; 204 also if there are none
//
//	POST   /recovery   makes a code with which another browser becomes the viewer in X-Viewer-Id, who has a video, and makes
//	                   the viewer's code from before invalid. Only this answer has the code: {"code":"…"}
//	GET    /recovery   since when there is a code, or 404
//	DELETE /recovery   makes the code invalid; 204 also if there is none
//	POST   /recovery/use
//	                   {"code":"…"}; answers {"viewer":{"id":"…"}}, or 404
//
// A video has the fields _id, name, contentType, size, duration (in seconds), poster (true if it has one), owner,
// captions (the languages of its captions) and uploadedAt, as far as they are known; a video that another program has stored may have other fields.
//
// It consumes the queue metadata.video-uploaded (of the exchange video-uploaded) and publishes removals to the exchange
// video-removed.
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
	"flixtube/chassis/relay"
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

	videos := newStore(db)
	removals := newRemovals(videos)
	consumers := messaging.NewConsumers(broker, log, subscriptions(videos)...)
	return process.Service{
		Addr:       cfg.addr,
		Handler:    web.Inner(newHandler(videos, removals.added.Send, log, append(consumers.Checks(), database.Check(db), messaging.Check(broker))...)),
		Log:        log,
		Background: []func(context.Context) error{consumers.Run, relay.New(removals, broker.Publisher(removedTo).Publish, log.With("to", removedTo.String())).Run},
	}.Run(ctx)
}
