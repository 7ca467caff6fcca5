package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"flixtube/chassis/database"
)

const (
	wordsField = "searchWords"
	maxWord    = 32 // characters of a word in the index
	maxWords   = 10 // of a search; the others are ignored
)

// withoutMarks folds letters that no mark distinguishes from another, as viewers see it.
var withoutMarks = strings.NewReplacer("ø", "o", "ł", "l", "đ", "d", "ħ", "h", "ı", "i", "æ", "ae", "œ", "oe")

// fold makes texts equal that differ in case, accents or form only. The marks of scripts in which they are letters stay.
func fold(s string) string {
	s = cases.Fold().String(norm.NFKD.String(s))
	s = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) && unicode.In(r, unicode.Inherited, unicode.Hebrew) {
			return -1
		}
		return r
	}, s)
	return withoutMarks.Replace(norm.NFC.String(s))
}

// indexWords returns the beginning of each end of each word of a name: with them an index finds any part of a word, also in
// scripts that put no spaces between words.
func indexWords(name string) []string {
	words := []string{}
	for _, word := range strings.Fields(fold(name)) {
		letters := []rune(word)
		for i := range letters {
			words = append(words, string(letters[i:min(len(letters), i+maxWord)]))
		}
	}
	slices.Sort(words)
	return slices.Compact(words)
}

// allWords finds the documents whose names contain all words of a search. Without a word that is all documents.
func allWords(search string) bson.D {
	words := strings.Fields(fold(search))
	filter := bson.A{}
	for _, word := range words[:min(len(words), maxWords)] {
		for part := range slices.Chunk([]rune(word), maxWord) {
			filter = append(filter, bson.D{{Key: wordsField, Value: bson.D{{Key: "$regex", Value: "^" + regexp.QuoteMeta(string(part))}}}})
		}
	}
	if len(filter) == 0 { // the search has nothing but marks
		return nil
	}
	return bson.D{{Key: "$and", Value: filter}}
}

// index adds the words to documents that other programs, or older versions, have stored.
func (s *store) index(ctx context.Context) error {
	missing := bson.E{Key: wordsField, Value: bson.D{{Key: "$exists", Value: false}}}
	found, err := database.All[bson.D](ctx, s.videos, bson.D{missing, notRemoved},
		options.Find().SetProjection(bson.D{{Key: "name", Value: 1}}))
	if err != nil {
		return fmt.Errorf("look for videos that are not indexed: %w", err)
	}
	for _, document := range found {
		name, _ := field(document, "name").(string)
		_, err := s.videos.UpdateOne(ctx, bson.D{{Key: "_id", Value: field(document, "_id")}, missing, notRemoved},
			bson.D{{Key: "$set", Value: bson.D{{Key: wordsField, Value: indexWords(name)}}}})
		if err != nil {
			return fmt.Errorf("index a video: %w", err)
		}
	}
	return nil
}
