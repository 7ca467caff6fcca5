// Video-storage keeps the bytes of the videos, in Azure Blob storage or in a directory.
//
//	GET,HEAD /video?id=   the video, or the ranges of it that are asked for (RFC 9110, sections 13 and 14)
//	POST /upload          stores the raw body under the header id, with its Content-Type: 201. If the id is in use, 409,
//	                      and the first video stays; if the disk is full, 507. When too many uploads are in progress, one
//	                      waits for up to ten seconds and is then answered with 503 and Retry-After
//	DELETE /video?id=     204, also when there is no such video; its poster and its announcement are deleted, too
//	GET /videos?after=&limit=
//	                      the videos in the order of their ids, limit (500) of them from the one after an id: each with the
//	                      message video-uploaded by which it was announced, or null. From these metadata's list can be rebuilt
//	PUT /poster?id=       stores a JPEG of at most 1 MB as the video's poster, and replaces the one before: 204; 404
//	                      without such a video, 415 if it is no JPEG, 413 if it is larger
//	GET,HEAD /poster?id=  the poster, served as videos are; 404 without one
//	GET /livez, /readyz   readyz probes the store and the broker
//
// An id is 1 to 64 letters, digits, '-' and '_'. Videos are also deleted when a video-removed message says so (queue
// video-storage.video-removed; the announcements come from video-storage.video-uploaded), and once an hour those that are
// older than a day and that metadata does not know: see sweep.
//
// Variables:
//
//	PORT                  the port to listen on; HOST is by default every interface
//	RABBIT                the broker, amqp:// or nats://
//	METADATA_URL          http://metadata
//	VIDEOS_DIR            the directory of the videos, which replicas may share where flock(2) works between them; or:
//	STORAGE_ENDPOINT      the address of the blob service, as in https://<account>.blob.core.windows.net
//	STORAGE_ACCOUNT_NAME  its account, and
//	STORAGE_ACCESS_KEY    its key; without one, the pod's Azure workload identity. The videos are in the container
//	                      "videos", which is made if it is missing
//	SWEEP_SINCE           bytes that were stored before this time (RFC 3339) are not swept: set it to the time when an older
//	                      copy of metadata's database is restored, which does not know newer videos
package main

import (
	"context"
	"io"
	"time"

	"flixtube/chassis/health"
	"flixtube/chassis/httpclient"
	"flixtube/chassis/messaging"
	"flixtube/chassis/messaging/brokers"
	"flixtube/chassis/process"
	"flixtube/chassis/web"
)

func main() { process.Main(run) }

// store is one of the two implementations. Its users name the part that they need.
type store interface {
	videoStore
	posterStore
	announcementStore
	sweepStore
	Ready(ctx context.Context) error
}

func run(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
	cfg, err := readConfig(getenv)
	if err != nil {
		return err
	}
	log := process.NewLogger(stdout, cfg.logLevel)
	var videos store
	maxUploads := blobUploads
	if cfg.dir != "" {
		dir, err := openDirectory(cfg.dir)
		if err != nil {
			return err
		}
		defer dir.Close()
		videos, maxUploads = dir, directoryUploads
	} else if videos, err = newBlobs(cfg.azure); err != nil {
		return err
	}
	broker, err := brokers.Connect(cfg.rabbit)
	if err != nil {
		return err
	}
	defer broker.Close()

	client := httpclient.New(httpclient.NewTransport())
	client.Timeout = 10 * time.Second
	sweeps := &sweeper{videos: videos, metadata: cfg.metadata, client: client, queueLen: broker.Len, since: cfg.since, log: log}
	consumers := messaging.NewConsumers(broker, log, removal(videos), announcement(videos))
	checks := append(consumers.Checks(), messaging.Check(broker), storeCheck(videos))
	return process.Service{
		Addr:       cfg.addr,
		Handler:    web.Inner(newHandler(videos, newUploadSlots(maxUploads), log, checks...)),
		Log:        log,
		Background: []func(context.Context) error{consumers.Run, sweeps.run},
	}.Run(ctx)
}

func storeCheck(videos store) health.Check {
	return health.Check{Name: "store", Required: true, Probe: videos.Ready}
}
