package publisher

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"flixtube/video-upload/internal/poster"
	"flixtube/video-upload/internal/video"
)

// maxWithoutPoster bounds how many videos wait for a poster.
const maxWithoutPoster = 100

// withoutPoster is a video that was announced without a poster.
type withoutPoster struct {
	video   video.Video
	at      time.Time
	ownerID string
}

// MakePosters has RunPosters make the posters of the videos that are announced without one. It must be called before them.
func (p *Publisher) MakePosters(ffmpeg poster.FFmpeg) {
	p.ffmpeg, p.withoutPoster = ffmpeg, make(chan withoutPoster, maxWithoutPoster)
}

// wantPoster does not wait.
func (p *Publisher) wantPoster(v withoutPoster) {
	if p.withoutPoster == nil {
		return
	}
	select {
	case p.withoutPoster <- v:
	default:
		p.log.Warn("video stays without a poster", "video", v.video.ID, "error", "too many videos wait for theirs")
	}
}

// RunPosters makes posters, one after another, until ctx is done. Videos that wait then stay without one: it is only a
// picture, and every page draws a substitute.
func (p *Publisher) RunPosters(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case v := <-p.withoutPoster:
			if err := p.addPoster(ctx, v); err != nil && ctx.Err() == nil {
				p.log.WarnContext(ctx, "video stays without a poster", "video", v.video.ID, "error", err)
			}
		}
	}
}

// addPoster announces the video again, by another message, because brokers drop one with an id that they know.
func (p *Publisher) addPoster(ctx context.Context, w withoutPoster) error {
	v := w.video
	at := v.Duration / 10 // beginnings are often black
	jpeg, err := p.ffmpeg.Make(ctx, p.storage.Address(v.ID), v.ContentType, at)
	if err != nil {
		return fmt.Errorf("make a poster: %w", err)
	}
	if err := p.storage.PutPoster(ctx, v.ID, jpeg); err != nil {
		return err
	}
	v.Poster = true
	return p.Announce(ctx, uuid.NewString(), w.at, v, w.ownerID)
}
