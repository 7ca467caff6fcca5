package main

import (
	"context"
	"encoding/json"
	"fmt"

	"flixtube/chassis/messaging"
	"flixtube/contracts"
)

func decodeVideoRemoved(m messaging.Message) (id string, err error) {
	return videoOf(m, contracts.VideoRemoved)
}

// videoOf returns the only field of a message that storage needs.
func videoOf(m messaging.Message, f contracts.Fact) (id string, err error) {
	var v struct {
		Video struct {
			ID string `json:"id"`
		} `json:"video"`
	}
	if err := json.Unmarshal(m.Body, &v); err != nil {
		return "", fmt.Errorf("not a %s message: %w", f.Name, err)
	}
	if v.Video.ID == "" {
		return "", fmt.Errorf("not a %s message: no video.id", f.Name)
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
