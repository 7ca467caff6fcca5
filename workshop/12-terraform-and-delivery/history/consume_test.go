package main

import (
	"errors"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
)

func TestHandle(t *testing.T) {
	for name, tc := range map[string]struct {
		body  string
		store recorder
		want  string
	}{
		"a view":                {`{"id":"1","video":{"id":"a"}}`, memory{}, "ack"},
		"not JSON":              {`hello`, memory{}, "to the dead letters"},
		"the database is away":  {`{"id":"1","video":{"id":"a"}}`, broken{}, "again"},
		"a field nobody knows":  {`{"id":"1","video":{"id":"a"},"device":"tv"}`, memory{}, "ack"},
		"the same view already": {`{"id":"1","video":{"id":"a"}}`, memory{"1": {ID: "1"}}, "ack"},
	} {
		t.Run(name, func(t *testing.T) {
			var told broker
			if err := handle(amqp.Delivery{Acknowledger: &told, Body: []byte(tc.body)}, tc.store); err != nil {
				t.Fatal(err)
			}
			if told != broker(tc.want) {
				t.Errorf("the broker was told %q, not %q", told, tc.want)
			}
		})
	}
}

// memory is a store for tests, by the views' ids.
type memory map[string]viewed

func (m memory) add(v viewed) error {
	if _, known := m[v.ID]; !known {
		m[v.ID] = v
	}
	return nil
}

func (m memory) list() ([]viewed, error) {
	var views []viewed
	for _, v := range m {
		views = append(views, v)
	}
	return views, nil
}

type broken struct{}

func (broken) add(viewed) error { return errors.New("the database is away") }

// broker remembers what it was told last.
type broker string

func (b *broker) Ack(uint64, bool) error {
	*b = "ack"
	return nil
}

func (b *broker) Nack(_ uint64, _, requeue bool) error {
	*b = "to the dead letters"
	if requeue {
		*b = "again"
	}
	return nil
}

func (b *broker) Reject(tag uint64, requeue bool) error { return b.Nack(tag, false, requeue) }
