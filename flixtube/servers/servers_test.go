package main

import (
	"log/slog"
	"net/url"
	"path/filepath"
	"testing"

	"flixtube/chassis/database"
)

// TestSQLiteURL reads the URL as FerretDB does.
func TestSQLiteURL(t *testing.T) {
	for _, dir := range []string{"/home/ann/flixtube/db", "/home/Ann Lee/필름/db", "C:/Users/John Smith/AppData/Local/flixtube/db", "C:/Users/Jürgen/db"} {
		u, err := url.Parse(sqliteURL(dir))
		if err != nil {
			t.Error(err)
			continue
		}
		path := u.Path
		if path == "" {
			path = u.Opaque
		}
		if u.Scheme != "file" || u.Host != "" || path != dir+"/" || u.Query().Get("_pragma") == "" {
			t.Errorf("%s becomes %s, which leads to %s", dir, u, path)
		}
	}
}

func TestFoldersOfTheDatabase(t *testing.T) {
	for name, good := range map[string]bool{"Ann Lee 필름": true, "a+b&c=d": true, "100%": false, "a?b": false, "a#b": false} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), name)
			address, stop, err := startDatabase(dir, 0, slog.New(slog.DiscardHandler))
			if (err == nil) != good {
				t.Fatalf("error %v", err)
			}
			if err != nil {
				return
			}
			defer stop()
			db, err := database.Connect(address, "x")
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Collection("y").InsertOne(t.Context(), map[string]string{"_id": "z"}); err != nil {
				t.Error(err)
			}
			if files, _ := filepath.Glob(filepath.Join(dir, "x.sqlite")); len(files) != 1 {
				t.Error("the file is not there")
			}
		})
	}
}
