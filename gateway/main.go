// Gateway is the only way into the site for browsers. It stores nothing: its pages are composed of what the other services
// know, and it forwards videos and uploads.
//
//	GET  /?q=&skip=               the library, newest first, and what is recommended to the viewer
//	GET  /video?id=&t=            watch a video, from t or from where the viewer stopped; 404 with other videos if there
//	                              is none
//	GET  /history?skip=           what the viewer watched
//	POST /history/remove          the form of a line: id
//	GET  /history/clear           asks first; POST clears the history
//	POST /language                the form at the foot: lang (en or ko), back
//	GET  /upload                  the upload page; POST takes its form (multipart/form-data) from browsers without scripts
//	POST /video/rename            the owner's form: id, name
//	POST /video/remove            the owner's form: id
//	POST /video/captions          the owner's form (multipart/form-data): id, language, file
//	POST /video/captions/remove   the owner's form: id, language
//	GET  /api/video?id=&view=     the bytes, with ranges, from video-streaming; PATCH {"name":…} renames the owner's video
//	GET  /api/poster?id=          the poster of a video, a JPEG, from video-streaming
//	GET  /api/captions?id=&language=  WebVTT, from metadata
//	POST /api/position?video=     {"position":…,"duration":…}, in seconds, to history
//	POST /api/upload              the raw file, its name in File-Name, to video-upload
//	     /api/uploads             resumable uploads (tus), to video-upload: OPTIONS, POST; for /api/uploads/<id> HEAD, PATCH,
//	                              DELETE; for /api/uploads/<id>/poster PUT
//	GET  /assets/<fingerprint>/…  scripts, styles and images of the pages; browsers may keep them for ever
//
// Pages are in English or Korean: by the cookie lang, otherwise by Accept-Language. Errors are pages, too; under /api they
// are JSON, {"error":…,"code":…,"args":{…}}.
//
// Every browser gets an unguessable, signed id in the cookie viewer (__Host-viewer by HTTPS). Services receive the id as
// X-Viewer-Id. Every request gets a new id, which is in the logs of all services, in the answer's X-Request-Id and on error pages. Of the headers from outside only
// those are forwarded that a route needs.
//
// Variables: PORT; VIEWER_KEY, or VIEWER_KEY_FILE that names a file with it: the key that signs viewers' cookies, 32 characters
// or more, the same for all gateways. It may be several keys, separated by white space: the first signs, the others are still
// accepted. Until VIEWER_UNSIGNED_UNTIL (a date, as in 2006-01-02, UTC; none by default) the cookies of versions that did not
// sign them are replaced by signed ones, for the same viewer.
//
// Optional are HOST, METADATA_URL, HISTORY_URL, RECOMMENDATIONS_URL, VIDEO_STREAMING_URL, VIDEO_UPLOAD_URL
// (default http://metadata, …), COOKIE_SECURE=true where a proxy in front of the gateway ends TLS, and RATE_LIMIT (100):
// changes and requests to /api per second and viewer. Ten seconds' worth may come at once. A new video counts as ten
// requests. A network address may make ten times as many requests as a viewer. Above the limit the answer is 429.
// The same answer comes where too many requests or streams of a viewer or an address are in flight (internal/edge/inflight.go).
//
// SEND_TIMEOUT (300) is how many seconds a client may read nothing of an answer before its connection is closed. A player
// that is paused with a full buffer reads nothing either; it asks for the rest with a Range when it plays again.
//
// TRUSTED_PROXIES are the networks and addresses of proxies in front of the gateway, separated by commas (none). For a
// request from one of them the client's address, by which limits are counted, is the right-most of X-Forwarded-For or
// Forwarded that is not such a proxy's.
//
// routes.go lists the routes. internal/edge identifies and limits viewers and has the proxies, internal/services has the
// clients of the other services, and internal/site the pages. The tests beside this file send requests to the whole gateway.
package main

import (
	"context"
	"io"
	"time"

	"flixtube/chassis/process"
)

func main() { process.Main(run) }

// partTimeout is how long a page waits for each of its parts.
const partTimeout = time.Second

// addressShare is the part of all connections that one address may have: a quarter.
const addressShare = 4

func run(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
	cfg, err := readConfig(getenv)
	if err != nil {
		return err
	}
	log := process.NewLogger(stdout, cfg.logLevel)
	handler, err := newHandler(cfg, partTimeout, log)
	if err != nil {
		return err
	}
	connections := process.Connections{
		PerAddress: process.DefaultConnections() / addressShare, Trusted: cfg.trustedProxies, SendTimeout: cfg.sendTimeout,
	}
	return process.Service{Addr: cfg.addr, Handler: handler, Log: log, Ranges: "/api/video", Connections: connections}.Run(ctx)
}
