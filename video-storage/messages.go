package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"flixtube/chassis/messaging"
)

// videoRemoved is what storage takes of a video-removed message.
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

// removal deletes the bytes of removed videos. It can be repeated.
func removal(videos store) messaging.Subscription {
	return messaging.Subscription{
		Queue: messaging.Queue{Name: "video-storage.video-removed", Exchange: "video-removed"},
		Ready: videos.Ready,
		Handler: messaging.Decoded(decodeVideoRemoved, func(ctx context.Context, ids []string) error {
			for _, id := range ids {
				if _, err := checkID(id); err != nil {
					continue // nothing can be stored under it
				}
				if err := videos.Delete(ctx, id); err != nil {
					return err
				}
			}
			return nil
		}),
	}
}
