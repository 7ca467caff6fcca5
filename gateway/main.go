// Gateway is the browser's only way in. It owns nothing: its pages are composed from what the other
// services know, and videos stream through it both ways.
//
//	GET  /?q=&skip=               the library, newest first, and what is recommended to the viewer
//	GET  /video?id=&t=            watch a video, from t or from where the viewer stopped; 404 with something else to
//	                              watch when there is none
//	GET  /history?skip=           what the viewer watched
//	POST /history/remove          the form beside each line: id
//	GET  /history/clear           asks first; POST clears the history
//	POST /language                the form at the foot: lang (en or ko), back
//	GET  /upload                  the form; POST takes it (multipart/form-data), for browsers without scripts
//	POST /video/rename            the owner's form: id, name
//	POST /video/remove            the owner's form: id
//	GET  /api/video?id=&view=     the bytes, with ranges: passed on to video-streaming; PATCH takes the owner's
//	                              {"name":…} to metadata
//	GET  /api/poster?id=          the picture of a video, a JPEG: passed on to video-streaming
//	POST /api/position?video=     {"position":…,"duration":…}, in seconds: passed on to history
//	POST /api/upload              the raw file, its name in File-Name: passed on to video-upload
//	     /api/uploads             the same by the tus protocol, which goes on after a break: OPTIONS, POST; and for
//	                              /api/uploads/<id> HEAD, PATCH, DELETE, for /api/uploads/<id>/poster PUT
//	GET  /assets/<fingerprint>/…  what the pages need; kept by browsers for good
//
// Pages come in English or Korean: by the cookie lang, or else by Accept-Language.
//
// Every browser gets an unguessable id in the cookie viewer, which goes inward as X-Viewer-Id. Of the headers that come
// from outside only those go inward that the route needs.
//
// Variables: PORT; optionally HOST, METADATA_URL, HISTORY_URL, RECOMMENDATIONS_URL, VIDEO_STREAMING_URL,
// VIDEO_UPLOAD_URL (by default http://metadata, …), COOKIE_SECURE=true where browsers come by https through
// something that ends TLS, and RATE_LIMIT (100): the changes and requests to /api that a viewer may make per
// second. Ten seconds' worth may come at once, each new video counts as ten, and all viewers of one network address may
// together make ten times as many. What is too much is answered with 429.
package main

import (
	"context"
	"io"
	"time"

	"flixtube/chassis/process"
)

func main() { process.Main(run) }

// partLimit is how long a page waits for each of its parts.
const partLimit = time.Second

func run(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
	cfg, err := readConfig(getenv)
	if err != nil {
		return err
	}
	log := process.NewLogger(stdout, cfg.logLevel)
	return process.Service{Addr: cfg.addr, Handler: newHandler(cfg, partLimit, log), Log: log}.Run(ctx)
}
