package main

import (
	"crypto/rand"
	"os"
	"slices"
	"testing"
	"time"
)

type listing interface {
	recorder
	list() ([]viewed, error)
}

func TestMemory(t *testing.T) { testStore(t, memory{}) }

func TestMongoDB(t *testing.T) {
	url := os.Getenv("DBHOST")
	if url == "" {
		t.Skip("DBHOST is missing, as in DBHOST=mongodb://localhost:27017")
	}
	s, err := openStore(url)
	if err != nil {
		t.Fatal(err)
	}
	testStore(t, s)
}

// testStore tests what every store of views must do.
func testStore(t *testing.T, s listing) {
	t.Helper()
	v := viewed{ID: rand.Text(), ViewedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	v.Video.ID = "a"
	for range 2 {
		if err := s.add(v); err != nil {
			t.Fatal(err)
		}
	}
	views, err := s.list()
	if err != nil {
		t.Fatal(err)
	}
	views = slices.DeleteFunc(views, func(other viewed) bool { return other.ID != v.ID })
	if len(views) != 1 {
		t.Fatalf("a view that came twice is stored %d times", len(views))
	}
	if got := views[0]; !got.ViewedAt.Equal(v.ViewedAt) || got.Video.ID != "a" {
		t.Errorf("stored %+v, and got %+v", v, got)
	}
}
