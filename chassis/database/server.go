package database

import (
	"context"
	"fmt"
	"sync/atomic"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

// server is the database server as it describes itself. It is asked before the first operation that differs between
// MongoDB and FerretDB, and then no more.
type server struct {
	product  atomic.Int32
	changing chan struct{} // holds a token while a document changes; FerretDB only, see lock
}

// The products.
const (
	unknown int32 = iota
	mongoDB
	ferretDB
)

func newServer() *server { return &server{changing: make(chan struct{}, 1)} }

// isFerretDB tells if the server is a FerretDB of version 1, which has the limits that this package works around.
func (s *server) isFerretDB(ctx context.Context, db *mongo.Database) (bool, error) {
	if product := s.product.Load(); product != unknown {
		return product == ferretDB, nil
	}
	info, err := db.Client().Database("admin").RunCommand(ctx, bson.D{{Key: "buildInfo", Value: 1}}).Raw()
	if err != nil {
		return false, fmt.Errorf("ask the database server for its version: %w", err)
	}
	product := productOf(info)
	s.product.Store(product) // two that ask at the same time store the same
	return product == ferretDB, nil
}

// productOf reads the answer to buildInfo. FerretDB 1 names itself in a field of its own, besides the version of MongoDB
// that it is compatible with. FerretDB 2, on PostgreSQL, has another field and none of the limits.
func productOf(buildInfo bson.Raw) int32 {
	if _, err := buildInfo.LookupErr("ferretdbVersion"); err == nil {
		return ferretDB
	}
	return mongoDB
}
