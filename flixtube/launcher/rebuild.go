package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"

	"flixtube/chassis/messaging"
	"flixtube/contracts"
	"flixtube/contracts/limits"
)

// rebuild sends metadata again the messages that announced the stored videos which it does not list. Metadata ignores
// those about videos that it knows as removed.
func (v videos) rebuild(ctx context.Context, c call) error {
	storage, err := serviceAddress(ctx, c, "video-storage", "VIDEO_STORAGE_URL")
	if err != nil {
		return err
	}
	broker, err := connectBroker(ctx, c)
	if err != nil {
		return err
	}
	defer broker.Close()
	if err := nothingToRemove(ctx, broker); err != nil {
		return err
	}
	publisher := broker.Publisher(messaging.To(contracts.VideoUploaded.Queue("metadata")))
	var stored, sent, lost int
	for after, more := "", true; more; {
		page, err := videos{storage, v.client, v.out}.stored(ctx, after)
		if err != nil {
			return err
		}
		if more = len(page) == limits.IDs; more {
			after = page[len(page)-1].ID
		}
		known, err := v.known(ctx, page)
		if err != nil {
			return err
		}
		var messages []messaging.Message
		for _, s := range page {
			switch {
			case known[s.ID]:
			case string(s.Announcement) == "null":
				lost++
				fmt.Fprintf(v.out, "%s was stored by an older version, or its upload failed: its title and owner are not known\n", s.ID)
			default:
				messages = append(messages, messaging.Message{ID: s.ID, Body: s.Announcement})
			}
		}
		if len(messages) > 0 {
			if err := publisher.Publish(ctx, messages); err != nil {
				return err
			}
		}
		stored, sent = stored+len(page), sent+len(messages)
	}
	_, err = fmt.Fprintf(v.out, "%d of %d stored videos are announced to metadata again, %d cannot be\n", sent, stored, lost)
	return err
}

// nothingToRemove is an error while video-storage has not heard of all removals: the videos would be listed again, and
// have no bytes soon.
func nothingToRemove(ctx context.Context, broker messaging.Connection) error {
	removals := contracts.VideoRemoved.Queue("video-storage")
	for _, q := range []messaging.Queue{removals, removals.Dead()} {
		n, err := broker.Len(ctx, q)
		if err != nil {
			return err
		}
		if n > 0 {
			return fmt.Errorf("%d messages wait in %s: video-storage must handle them first", n, q.Name)
		}
	}
	return nil
}

type storedVideo struct {
	ID           string          `json:"id"`
	Announcement json.RawMessage `json:"announcement"`
}

// stored returns the stored videos after an id, limits.IDs of them if there are as many.
func (v videos) stored(ctx context.Context, after string) ([]storedVideo, error) {
	query := url.Values{"limit": {strconv.Itoa(limits.IDs)}}
	if after != "" {
		query.Set("after", after)
	}
	var page struct {
		Videos []storedVideo `json:"videos"`
	}
	err := v.get(ctx, "videos", query, &page)
	return page.Videos, err
}

// known tells which of these metadata lists.
func (v videos) known(ctx context.Context, page []storedVideo) (map[string]bool, error) {
	query := url.Values{}
	for _, s := range page {
		query.Add("id", s.ID)
	}
	known := map[string]bool{}
	if len(page) == 0 {
		return known, nil // without an id metadata would list all
	}
	var answer struct {
		Videos []struct {
			ID string `json:"_id"`
		} `json:"videos"`
	}
	if err := v.get(ctx, "videos", query, &answer); err != nil {
		return nil, err
	}
	for _, one := range answer.Videos {
		known[one.ID] = true
	}
	return known, nil
}
