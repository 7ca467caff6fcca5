// Package codes has the error codes that services answer with, besides those that every service has (web.Codes). Programs
// decide by the code; the message beside it is for people.
package codes

// The codes.
const (
	AlreadyUploaded    = "already_uploaded"   // this video is uploaded already
	CannotAnnounce     = "cannot_announce"    // the broker is away and the outbox is full
	CaptionsBackwards  = "captions_backwards" // a caption ends before it begins; args: line
	CaptionsEmpty      = "captions_empty"
	CaptionsNoBlank    = "captions_no_blank" // two captions without a blank line between them; args: line
	CaptionsNotFound   = "captions_not_found"
	CaptionsNotText    = "captions_not_text"  // neither UTF-8 nor UTF-16; args: line
	CaptionsNoTiming   = "captions_no_timing" // no time where there must be one; args: line
	CaptionsTooMany    = "captions_too_many"  // args: line, max
	ChangeFailed       = "change_failed"      // the service to change something did not answer, or failed
	ConcatUnsupported  = "concat_unsupported" // tus extension concatenation
	CrossOrigin        = "cross_origin"       // a change that another site's page asked for
	EmptyFile          = "empty_file"
	FileNameMissing    = "file_name_missing"
	FileNameTooLong    = "file_name_too_long" // args: max, in bytes
	InvalidBody        = "invalid_body"       // not the JSON that the route takes
	InvalidContentType = "invalid_content_type"
	InvalidDuration    = "invalid_duration"  // args: max, in seconds
	InvalidFileName    = "invalid_file_name" // not UTF-8, or not percent-encoded
	InvalidForm        = "invalid_form"
	InvalidID          = "invalid_id" // args: name, max
	InvalidLanguage    = "invalid_language"
	InvalidMessage     = "invalid_message" // not the message that the route takes
	InvalidName        = "invalid_name"    // args: max, in characters
	InvalidPosition    = "invalid_position"
	InvalidPoster      = "invalid_poster" // not a picture that can be decoded
	InvalidSort        = "invalid_sort"
	InvalidTusRequest  = "invalid_tus_request" // a client that does not follow the protocol; args: reason, as tusd names it
	InvalidViewer      = "invalid_viewer"
	MoovMissing        = "moov_missing"     // an MP4 without its index, which was cut off
	NoCaptionsFile     = "no_captions_file" // a form without a file
	NoFile             = "no_file"          // a form without a file
	NoSpace            = "no_space"         // the disk is full
	NotAFileForm       = "not_a_file_form"
	NotOwner           = "not_owner"
	NothingOwned       = "nothing_owned"  // a viewer without videos
	NotPlayable        = "not_playable"   // not a video that browsers play
	PageNotFound       = "page_not_found" // skip or limit name no page
	PositionNotFound   = "position_not_found"
	PosterNotFound     = "poster_not_found"
	PosterNotJPEG      = "poster_not_jpeg"
	PosterTooLarge     = "poster_too_large"    // args: pixels, side
	RangeUnsatisfiable = "range_unsatisfiable" // args: size, of the video in bytes
	SearchTooLong      = "search_too_long"     // args: max, in characters
	RecoveryNotFound   = "recovery_not_found"  // also a code that is revoked, or replaced
	StorageUnavailable = "storage_unavailable" // args: status, of the storage, if there is one
	TooManyIDs         = "too_many_ids"        // args: max
	TooManyLanguages   = "too_many_languages"  // args: max
	TooManyPosters     = "too_many_posters"
	TooManyRequests    = "too_many_requests" // args: seconds
	TooManyUploads     = "too_many_uploads"  // args: max
	UnknownLanguage    = "unknown_language"
	UploadFailed       = "upload_failed" // video-upload did not answer, or failed
	UploadLocked       = "upload_locked" // another request is changing the upload
	UploadNotFound     = "upload_not_found"
	UploadsFull        = "uploads_full"
	VideoExists        = "video_exists"
	VideoNotFound      = "video_not_found"
	VideoTooLarge      = "video_too_large" // args: max, in bytes
	ViewNotFound       = "view_not_found"
	ViewNotStored      = "view_not_stored" // the database is away
)

// All returns every code.
func All() []string {
	return []string{
		AlreadyUploaded, CannotAnnounce, CaptionsBackwards, CaptionsEmpty, CaptionsNoBlank, CaptionsNotFound,
		CaptionsNotText, CaptionsNoTiming, CaptionsTooMany, ChangeFailed, ConcatUnsupported, CrossOrigin, EmptyFile, FileNameMissing,
		FileNameTooLong, InvalidBody, InvalidContentType, InvalidDuration, InvalidFileName, InvalidForm, InvalidID,
		InvalidLanguage, InvalidMessage, InvalidName, InvalidPosition, InvalidPoster, InvalidSort, InvalidTusRequest, InvalidViewer, MoovMissing, NoCaptionsFile, NoFile, NoSpace,
		NotAFileForm, NothingOwned, NotOwner, NotPlayable, PageNotFound, PositionNotFound, PosterNotFound, PosterNotJPEG,
		PosterTooLarge, RangeUnsatisfiable, RecoveryNotFound, SearchTooLong, StorageUnavailable, TooManyIDs, TooManyLanguages, TooManyPosters, TooManyRequests,
		TooManyUploads, UnknownLanguage, UploadFailed, UploadLocked, UploadNotFound, UploadsFull, VideoExists, VideoNotFound, VideoTooLarge,
		ViewNotFound, ViewNotStored,
	}
}
