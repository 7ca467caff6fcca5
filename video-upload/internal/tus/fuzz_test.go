package tus

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	tusd "github.com/tus/tusd/v2/pkg/handler"

	"flixtube/chassis/web"
	"flixtube/contracts/limits"
	"flixtube/video-upload/internal/video"
)

// FuzzMetadata: what a client says about its upload is rejected, or gives a name that can be shown, and sets none of our
// own keys. The client gets back what it has sent.
func FuzzMetadata(f *testing.F) {
	ours := []string{nameKey, durationKey, ownerKey, factKey, addressKey}
	f.Fuzz(func(t *testing.T, header string) {
		info := tusd.FileInfo{Size: 1, MetaData: tusd.ParseMetadataHeader(header)}
		meta, err := new(Handler).accept(info, http.Header{web.ViewerHeader: {"ann"}})
		if err != nil {
			return
		}
		for key := range meta {
			if !slices.Contains(ours, key) {
				t.Errorf("kept %q", key)
			}
		}
		if meta[ownerKey] != "ann" || meta[addressKey] != "" || len(meta[factKey]) != 36 {
			t.Errorf("owner %q, address %q, fact %q", meta[ownerKey], meta[addressKey], meta[factKey])
		}
		name, err := video.Name(meta[nameKey])
		if err != nil || name == "" || !utf8.ValidString(name) || utf8.RuneCountInString(name) > limits.Name ||
			strings.ContainsFunc(name, unicode.IsControl) {
			t.Errorf("name %q, %v", name, err)
		}
		if d, err := video.Duration(meta[durationKey]); err != nil || !(d >= 0 && d <= limits.Duration) {
			t.Errorf("duration %v, %v", d, err)
		}
		sent := tusd.MetaData{nameKey: meta[nameKey], durationKey: meta[durationKey]}
		if told := tusd.ParseMetadataHeader(tusd.SerializeMetadataHeader(sent)); !maps.Equal(told, map[string]string(sent)) {
			t.Errorf("sent %q, told %q", sent, told)
		}
	})
}
