package main

import (
	"fmt"
	"math"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// public returns a document for a response: all of its fields except our internal ones, of any type, and the _id always as
// a string.
func public(document bson.D) map[string]any {
	fields := object(document)
	delete(fields, "outbox")
	delete(fields, "removed")
	delete(fields, wordsField)
	fields["_id"] = idText(field(document, "_id"))
	return fields
}

// idText returns an _id as messages and URLs have it.
func idText(id any) string {
	if s, ok := id.(string); ok {
		return s
	}
	return fmt.Sprint(plain(id))
}

func object(document bson.D) map[string]any {
	fields := make(map[string]any, len(document))
	for _, e := range document {
		fields[e.Key] = plain(e.Value)
	}
	return fields
}

// plain turns any BSON value into one that JSON can hold.
func plain(value any) any {
	switch v := value.(type) {
	case nil, bool, string, int32, int64:
		return v
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil
		}
		return v
	case bson.Null, bson.Undefined:
		return nil
	case bson.DateTime:
		return v.Time().UTC().Format(time.RFC3339Nano)
	case bson.ObjectID:
		return v.Hex()
	case bson.Binary:
		return v.Data // JSON holds bytes as base64
	case bson.D:
		return object(v)
	case bson.A:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = plain(item)
		}
		return list
	default: // decimals, regular expressions, timestamps and rarer ones
		return fmt.Sprint(v)
	}
}
