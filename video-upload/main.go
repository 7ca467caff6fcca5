// Video-upload accepts new videos: it streams their bytes to video-storage and then announces them.
//
//	POST /upload               the file as the body; its name in File-Name, percent-encoded UTF-8; optionally its duration
//	                           in Video-Duration, in seconds. Answers 201 with the video
//	OPTIONS,POST /uploads      an upload that can be resumed, by the tus protocol 1.0.0 (with creation,
//	                           creation-with-upload and termination). Upload-Metadata: filename, and optionally
//	                           duration; others are dropped. The upload's id becomes the video's
//	GET /uploads               the unfinished uploads of the viewer in X-Viewer-Id, the last changed first
//	HEAD,PATCH,DELETE /uploads/<id>  for the viewer who created it (X-Viewer-Id); to others it does not exist. The last
//	                           PATCH is answered when the video is stored and its announcement is safe, or, if the
//	                           storage is down, when the file is safe on disk, to be stored later. HEAD shows for a day
//	                           that an upload is finished. An upload without progress is removed after a day, and
//	                           one without a byte after ten minutes
//	PUT /uploads/<id>/poster   before the last PATCH: a JPEG of up to 1 MB, 12 scans, 1280 pixels on a side and 1280x720 in
//	                           all; 204. 20 are received at a time, of them 4 of one viewer and 10 of one address
//
// POST /upload receives 12 videos at a time, of them up to 2 of one viewer and 4 of one address. Others wait for up to ten
// seconds; then, as when too many wait, they are answered with 503 and Retry-After.
//
// The content of a file shows its type; the type that the client claims does not matter. An MP4 without a whole moov box is
// rejected with the code moov_missing. A duration that the client does not say is read from the file; that of an Ogg, and of
// many files that were written while they were recorded, stays unknown. A client that sends nothing for a minute, or for longer
// less than 4 KiB/s, is disconnected.
//
// An announcement waits in the outbox until the broker has confirmed it. It goes to the exchange video-uploaded.
//
// A video that is announced without a poster gets one from ffmpeg, if that is found in PATH at the start, and is then
// announced again. One video after another; those that wait when the service stops stay without a poster.
//
// Unfinished uploads are bounded: a viewer may have 20, an address (X-Client-Address, which the gateway sets) 100. When they
// hold UPLOAD_LIMIT for a viewer or 2 times as much for an address, as with too many of them, POST /uploads answers 429.
// When all together are 1000, or hold 9 times UPLOAD_LIMIT, a new one replaces others that stand still, the emptiest and
// oldest first; if there is none of these it is answered with 503. At 2, 3 and 16 times UPLOAD_LIMIT, as on a full disk,
// PATCH answers 507 and the bytes that have arrived are kept, so that the upload can continue. While the disk of the outbox
// is full no video can be announced, and POST /upload answers 503: give UPLOADS_DIR a disk of its own where that matters.
// Replicas may share it, on a volume where flock(2) works between them.
//
// Variables:
//
//	PORT               the port to listen on; HOST is by default every interface
//	RABBIT             the broker, amqp:// or nats://
//	OUTBOX_DIR         the directory of unsent announcements
//	OUTBOX_LIMIT       how many of them at most (100000)
//	VIDEO_STORAGE_URL  http://video-storage
//	UPLOADS_DIR        the directory of unfinished uploads: by default "unfinished" in OUTBOX_DIR
//	UPLOAD_LIMIT       bytes of the largest video (4 GB)
//	POSTERS_BY_FFMPEG  false: no video gets its poster from ffmpeg (true)
package main

import (
	"context"
	"io"
	"os/exec"
	"time"

	"flixtube/chassis/messaging"
	"flixtube/chassis/messaging/brokers"
	"flixtube/chassis/outbox"
	"flixtube/chassis/process"
	"flixtube/chassis/relay"
	"flixtube/chassis/web"
	"flixtube/contracts"
	"flixtube/video-upload/internal/poster"
	"flixtube/video-upload/internal/spool"
	"flixtube/video-upload/internal/storage"
)

// idleTimeout is how long a client may send nothing, and the storage may read nothing.
const idleTimeout = time.Minute

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
	uploads, err := spool.Open(cfg.uploadsDir, cfg.uploadLimit)
	if err != nil {
		return err
	}
	videos := storage.New(cfg.storage, idleTimeout)
	service, err := newService(uploads, videos, box, cfg.uploadLimit, idleTimeout, log)
	if err != nil {
		return err
	}
	if path, err := exec.LookPath("ffmpeg"); err == nil && cfg.ffmpeg {
		service.publisher.MakePosters(poster.FFmpeg{Path: path, Encoder: &service.encoder})
		log.InfoContext(ctx, "videos without a poster get one from ffmpeg", "path", path)
	}
	to := contracts.VideoUploaded.Destination()
	announce := broker.Publisher(to).Publish
	return process.Service{
		Addr:    cfg.addr,
		Handler: web.Inner(service.handler(videos.Check(), messaging.Check(broker))),
		Log:     log,
		Background: []func(context.Context) error{
			relay.New(box, announce, log.With("to", to.String())).Run, service.publisher.Run, service.publisher.RunPosters,
		},
	}.Run(ctx)
}
