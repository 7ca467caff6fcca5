package publisher

import (
	"encoding/json"
	"time"

	"flixtube/chassis/messaging"
	"flixtube/video-upload/internal/video"
)

// videoUploaded is the message that a video is stored.
type videoUploaded struct {
	ID         string      `json:"id"`
	UploadedAt string      `json:"uploadedAt"` // RFC 3339, UTC, milliseconds
	Owner      owner       `json:"owner"`
	Video      video.Video `json:"video"`
}

type owner struct {
	ID string `json:"id"`
}

// newVideoUploaded makes the message. id is the fact's: the same each time the fact is announced.
func newVideoUploaded(id string, at time.Time, v video.Video, ownerID string) (messaging.Message, error) {
	u := videoUploaded{ID: id, UploadedAt: at.UTC().Format("2006-01-02T15:04:05.000Z"), Owner: owner{ownerID}, Video: v}
	body, err := json.Marshal(u)
	return messaging.Message{ID: u.ID, Body: body}, err
}
