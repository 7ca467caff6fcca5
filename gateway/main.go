// Gateway is the browser's only way in. It owns nothing: its pages are composed from what the other
// services know, and videos stream through it both ways.
//
//	GET  /?q=&skip=               the library, newest first, and what is recommended to the viewer
//	GET  /video?id=               watch a video; 404 with something else to watch when there is none
//	GET  /history?skip=           what the viewer watched
//	GET  /upload                  the form; POST takes it (multipart/form-data), for browsers without scripts
//	POST /video/rename            the owner's form: id, name
//	POST /video/remove            the owner's form: id
//	GET  /api/video?id=&view=     the bytes, with ranges: passed on to video-streaming
//	POST /api/upload              the raw file, its name in File-Name: passed on to video-upload
//	GET  /assets/<fingerprint>/…  what the pages need; kept by browsers for good
//
// Every browser gets an unguessable id in the cookie viewer, which goes inward as X-Viewer-Id.
//
// Variables: PORT; optionally HOST, METADATA_URL, HISTORY_URL, RECOMMENDATIONS_URL, VIDEO_STREAMING_URL,
// VIDEO_UPLOAD_URL (by default http://metadata, …), and COOKIE_SECURE=true where browsers come by https
// through something that ends TLS.
package main

import (
	"context"
	"io"
	"time"

	"flixtube/chassis"
)

func main() { chassis.Main(run) }

// partLimit is how long a page waits for each of its parts.
const partLimit = time.Second

func run(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
	cfg, err := readConfig(getenv)
	if err != nil {
		return err
	}
	log := chassis.NewLogger(stdout, getenv("LOG_LEVEL"))
	return chassis.Service{Addr: cfg.addr, Handler: newHandler(cfg, partLimit, log), Log: log}.Run(ctx)
}
