// Package limits bounds what messages and requests may hold, the same in every service.
package limits

const (
	// ID is the most that an id may have, in bytes: of a fact, a video or a viewer, whoever chose it.
	ID = 200
	// Name is the most that the name of a video, or a search for one, may have, in characters.
	Name = 200
	// FileName is the most that the name of an uploaded file may have, in bytes.
	FileName = 1000
	// Duration is the most that a video may last, in seconds: some four months.
	Duration = 1e7
	// IDs is the most videos that one request may name.
	IDs = 100
	// Poster is the most that a poster may have, in bytes.
	Poster = 1 << 20
	// Message is the most that the body of a message may have, in bytes. RabbitMQ is told so by max_message_size,
	// JetStream by the limit of its streams.
	Message = 64 << 10
)
