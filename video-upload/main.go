// Video-upload takes in new videos: it passes their bytes on to video-storage and then announces them.
//
//	POST /upload               the file as the body; its name in File-Name, percent-encoded UTF-8; how many seconds
//	                           it lasts in Video-Duration, optionally; 201 with the video
//	OPTIONS,POST /uploads      an upload that can be resumed, by the tus protocol 1.0.0 (with creation,
//	                           creation-with-upload and termination). Upload-Metadata: filename, and optionally
//	                           duration; others are not kept. The upload's id will be the video's
//	HEAD,PATCH,DELETE /uploads/<id>  for the viewer who created it (X-Viewer-Id); to others it does not exist. The last
//	                           PATCH is answered when the video is stored and will be announced; or, if the storage
//	                           is away, when the file is safe here, to be stored later. HEAD tells for a day that an
//	                           upload is finished; one without progress is removed after a day
//	PUT /uploads/<id>/poster   before the last PATCH: a JPEG of up to 1 MiB, 1280 pixels on a side and 1280x720 in all; 204
//
// The type of a video is told by its content, whatever the caller says. A caller who sends nothing for a minute has gone.
//
// What it announces waits in the outbox until the broker has it, and goes to the exchange video-uploaded.
//
// A viewer may have 20 unfinished uploads, then POST /uploads answers 429. When all viewers together have 1000, or 8
// times UPLOAD_LIMIT of bytes in UPLOADS_DIR, it answers 503; with 16 times UPLOAD_LIMIT, as with a full disk, PATCH
// answers 507 and what has arrived stays, so that the upload can go on. Until there is space again no video can be
// announced either if the outbox is on the same disk, and POST /upload answers 503: give UPLOADS_DIR a disk of its own
// where that matters. Replicas may share it, on a volume where flock(2) works between them.
//
// Variables: PORT, RABBIT, OUTBOX_DIR; optionally HOST, VIDEO_STORAGE_URL (http://video-storage), UPLOADS_DIR (uploads
// that are not finished: the folder unfinished in OUTBOX_DIR), UPLOAD_LIMIT (bytes of one video: 4 GiB), OUTBOX_LIMIT
// (videos that wait to be announced: 100000).
package main

import (
	"context"
	"io"

	"flixtube/chassis/messaging"
	"flixtube/chassis/messaging/brokers"
	"flixtube/chassis/outbox"
	"flixtube/chassis/process"
	"flixtube/chassis/relay"
)

func main() { process.Main(run) }

func run(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
	cfg, err := readConfig(getenv)
	if err != nil {
		return err
	}
	log := process.NewLogger(stdout, cfg.logLevel)
	broker, err := brokers.Connect(cfg.rabbit)
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
	resumable, err := newUploads(cfg.uploadsDir, storage, box, cfg.uploadLimit, log)
	if err != nil {
		return err
	}
	return process.Service{
		Addr:       cfg.addr,
		Handler:    newHandler(storage, box, resumable, cfg.uploadLimit, log, storage.check(), messaging.Check(broker)),
		Log:        log,
		Background: []func(context.Context) error{relay.New(box, broker.Publisher(uploadedTo).Publish, log).Run, resumable.work},
	}.Run(ctx)
}
