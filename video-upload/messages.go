package main

import (
	"encoding/json"
	"time"

	"flixtube/chassis/messaging"
)

var uploadedTo = messaging.Fanout("video-uploaded", "metadata.video-uploaded")

// videoUploaded tells that a video's bytes are stored.
type videoUploaded struct {
	ID         string    `json:"id"`
	UploadedAt time.Time `json:"uploadedAt"`
	Owner      owner     `json:"owner"`
	Video      video     `json:"video"`
}

type owner struct {
	ID string `json:"id"`
}

type video struct {
	ID          string  `json:"id"`
	Name        string  `json:"name"`
	ContentType string  `json:"contentType"`
	Size        int64   `json:"size"`               // bytes
	Duration    float64 `json:"duration,omitempty"` // seconds, as the uploader says
	Poster      bool    `json:"poster,omitempty"`   // the storage has one
}

// newVideoUploaded makes the message. id names the fact: each time it is told, it is the same.
func newVideoUploaded(id string, at time.Time, v video, ownerID string) (messaging.Message, error) {
	u := videoUploaded{ID: id, UploadedAt: at.UTC(), Owner: owner{ownerID}, Video: v}
	body, err := json.Marshal(u)
	return messaging.Message{ID: u.ID, Body: body}, err
}
