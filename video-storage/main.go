// Video-storage keeps the bytes of the videos, in Azure Blob storage or in a directory.
//
//	GET,HEAD /video?id=   the video, or the ranges of it that are asked for (RFC 9110, sections 13 and 14)
//	POST /upload          takes the raw body under the header id, with its Content-Type: 201. An id that is
//	                      taken gives 409 and the first video stays; a full disk gives 507
//	DELETE /video?id=     204, also when there is no such video; its poster goes along
//	PUT /poster?id=       takes a JPEG of at most 1 MiB as the video's poster, in place of the one before: 204; 404
//	                      without such a video, 415 if it is no JPEG, 413 if it is larger
//	GET,HEAD /poster?id=  the poster, served as videos are; 404 without one
//	GET /livez, /readyz   readyz asks the store and the broker
//
// An id is 1 to 64 letters, digits, '-' and '_'. The videos that video-removed messages name are deleted (the
// queue video-storage.video-removed of the exchange video-removed), and once an hour those that are older than a day
// and that metadata does not know: see sweep. Its variables:
//
//	PORT                  where it listens; on HOST, by default every interface
//	RABBIT                the broker, amqp:// or nats://
//	METADATA_URL          http://metadata
//	VIDEOS_DIR            the directory of the videos, which this process alone may change; or:
//	STORAGE_ENDPOINT      the address of the blob service, as in https://<account>.blob.core.windows.net
//	STORAGE_ACCOUNT_NAME  its account, and
//	STORAGE_ACCESS_KEY    its key; without one, the pod's Azure workload identity. The videos are in the container
//	                      "videos", which is made if it is missing
package main

import (
	"context"
	"io"
	"net/http"
	"time"

	"flixtube/chassis/httpclient"
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
	var videos store
	if cfg.dir != "" {
		dir, err := openDirectory(cfg.dir)
		if err != nil {
			return err
		}
		defer dir.Close()
		videos = dir
	} else if videos, err = newBlobs(cfg.azure); err != nil {
		return err
	}
	broker, err := messaging.Connect(cfg.rabbit)
	if err != nil {
		return err
	}
	defer broker.Close()

	sweeps := &sweeper{
		videos: videos, metadata: cfg.metadata, client: &http.Client{Transport: httpclient.NewTransport(), Timeout: 10 * time.Second},
		waiting: broker.Len, log: log,
	}
	return process.Service{
		Addr:       cfg.addr,
		Handler:    newHandler(videos, log, messaging.Check(broker)),
		Log:        log,
		Background: append(messaging.Consumers(broker, log, removal(videos)), sweeps.run),
	}.Run(ctx)
}
