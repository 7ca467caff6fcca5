// Video-upload takes in new videos: it passes their bytes on to video-storage and then announces them.
//
//	POST /upload  the file as the body; its name in File-Name, percent-encoded UTF-8; 201 with the video.
//	              The type is told by the content, whatever Content-Type says
//
// What it announces waits in the outbox until the broker has it, and goes to the exchange video-uploaded.
//
// Variables: PORT, RABBIT, OUTBOX_DIR; optionally HOST, VIDEO_STORAGE_URL (http://video-storage), UPLOAD_LIMIT
// (bytes of one video: 4 GiB), OUTBOX_LIMIT (videos that wait to be announced: 100000).
package main

import (
	"context"
	"io"

	"flixtube/chassis"
	"flixtube/chassis/messaging"
	"flixtube/chassis/outbox"
)

func main() { chassis.Main(run) }

func run(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
	cfg, err := readConfig(getenv)
	if err != nil {
		return err
	}
	log := chassis.NewLogger(stdout, getenv("LOG_LEVEL"))
	broker, err := messaging.Connect(cfg.rabbit)
	if err != nil {
		return err
	}
	defer broker.Close()
	box, err := outbox.Open(cfg.outboxDir, int(cfg.outboxLimit), log)
	if err != nil {
		return err
	}
	defer box.Close()

	storage := newStorage(cfg.storage)
	relay := func(ctx context.Context) error {
		return box.Relay(ctx, func(ctx context.Context, msgs []messaging.Message) error {
			return broker.Publish(ctx, uploadedTo, msgs)
		})
	}
	return chassis.Service{
		Addr:       cfg.addr,
		Handler:    newHandler(storage, box, cfg.uploadLimit, log, storage.check(), messaging.Check(broker)),
		Log:        log,
		Background: []func(context.Context) error{relay},
	}.Run(ctx)
}
