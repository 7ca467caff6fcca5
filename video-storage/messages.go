package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"flixtube/chassis/messaging"
	"flixtube/contracts"
)

// videoRemoved has the fields of a video-removed message that storage needs.
type videoRemoved struct {
	Video struct {
		ID string `json:"id"`
	} `json:"video"`
}

func decodeVideoRemoved(m messaging.Message) (id string, err error) {
	var v videoRemoved
	if err := json.Unmarshal(m.Body, &v); err != nil {
		return "", fmt.Errorf("not a video-removed message: %w", err)
	}
	if v.Video.ID == "" {
		return "", errors.New("not a video-removed message: no video.id")
	}
	return v.Video.ID, nil
}

// removalStore is the store as the consumer needs it.
type removalStore interface {
	Delete(ctx context.Context, id videoID) error
	Ready(ctx context.Context) error // nil when the store can be used
}

// removal deletes the bytes of removed videos. Handling a message again has no effect.
func removal(videos removalStore) messaging.Subscription {
	return messaging.Subscription{
		Queue: contracts.VideoRemoved.Queue("video-storage"),
		Ready: videos.Ready,
		Handler: messaging.Decoded(decodeVideoRemoved, func(ctx context.Context, ids []string) error {
			for _, removed := range ids {
				id, err := parseID(removed)
				if err != nil {
					continue // nothing can be stored under it
				}
				if err := videos.Delete(ctx, id); err != nil {
					return fmt.Errorf("delete video %s: %w", id, err)
				}
			}
			return nil
		}),
	}
}
