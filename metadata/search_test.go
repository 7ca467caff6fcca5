package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"flixtube/contracts/limits"
)

// TestSearch: all words, in any order, whatever their case, accents and form, in every script.
func TestSearch(t *testing.T) {
	s := newTestStore(t)
	h := newHandler(s, func() {}, quiet)
	titles := []string{
		"The game of life", "Life of a gamer", "A naïve Straße", "Ångström, Łódź & Øresund", "İstanbul ışık", "서울의 밤 풍경", "東京の夜景とが", "ｆｕｌｌ ｗｉｄｔｈ",
		"ประเทศไทย", "कुत्ता और बिल्ली", "שָׁלוֹם", "مَرْحَبًا", "ΣΊΣΥΦΟΣ", "C++ in 10 minutes?", strings.Repeat("long", 20) + "est",
	}
	if err := s.add(t.Context(), []video{{ID: "0", Name: titles[0]}, {ID: "1", Name: titles[1]}}); err != nil {
		t.Fatal(err)
	}
	for i, title := range titles[2:] { // by another program
		insert(t, s, bson.D{{Key: "_id", Value: fmt.Sprint(2 + i)}, {Key: "name", Value: title}})
	}
	insert(t, s, bson.D{{Key: "_id", Value: "number"}, {Key: "name", Value: 7}}, tombstone{Owner: "ann", Removed: true})
	for search, want := range map[string]string{
		"game life": "0 1", "life GAME": "0 1", "life the": "0", "am if": "0 1", "gamer game": "1", "game  death": "",
		"naive": "2", "NAÏVE": "2", "nai\u0308ve": "2", "strasse": "2", "STRASSE": "2", "angstrom lodz": "3", "oresund": "3", "istanbul isik": "4", "ISIK": "4",
		"서울": "5", "풍경 서울": "5", "울의": "5", "서울 낮": "", "夜景": "6", "の東京": "", "full width": "7", "FULL": "7",
		"ไทย": "8", "कुत्ता": "9", "कत्ता": "", "שלום": "10", "مرحبا": "11", "σίσυφος": "12", "σισυφοσ": "12",
		"c++": "13", "10?": "", "?": "13", ".*": "", "(": "",
		strings.Repeat("long", 20) + "est": "14", strings.Repeat("long", 20) + "er": "", strings.Repeat("x ", limits.Name/2): "",
		"7": "",
	} {
		if got := listed(t, h, "search="+esc(search)); strings.Join(got, " ") != want {
			t.Errorf("%q finds %q, want %q", search, got, want)
		}
	}
	if _, answer := call(t, h, "GET", "/video?id=2", "", ""); fmt.Sprint(answer) != fmt.Sprint(map[string]any{"video": map[string]any{"_id": "2", "name": titles[2]}}) {
		t.Errorf("a document that was searched is shown as %v", answer)
	}

	insert(t, s, video{ID: "mine", Owner: "ann", Name: "Before"})
	if got := listed(t, h, "search=before"); !slices.Equal(got, []string{"mine"}) {
		t.Errorf("found %q", got)
	}
	if _, err := s.rename(t.Context(), "mine", "ann", "After"); err != nil {
		t.Fatal(err)
	}
	for search, want := range map[string]string{"before": "", "after": "mine"} {
		if got := listed(t, h, "search="+search); strings.Join(got, " ") != want {
			t.Errorf("renamed: %q finds %q, want %q", search, got, want)
		}
	}
}

// TestSearchHasAnIndex: FerretDB keeps it without using it.
func TestSearchHasAnIndex(t *testing.T) {
	s := newTestStore(t)
	indexes, err := s.videos.Indexes().ListSpecifications(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(indexes, func(i mongo.IndexSpecification) bool {
		keys, err := i.KeysDocument.Elements()
		return err == nil && len(keys) > 0 && keys[0].Key() == wordsField
	}) {
		t.Errorf("no index begins with %s: %+v", wordsField, indexes)
	}
}

// TestIndexIsBounded: the longest name makes no more and no longer words than this.
func TestIndexIsBounded(t *testing.T) {
	var name []rune
	for i := range limits.Name {
		name = append(name, rune('가'+i))
	}
	words := indexWords(string(name))
	if len(words) != limits.Name || slices.ContainsFunc(words, func(w string) bool { return len([]rune(w)) > maxWord }) {
		t.Errorf("%d words", len(words))
	}
}
