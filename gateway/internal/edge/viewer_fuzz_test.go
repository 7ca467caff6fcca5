package edge

import (
	"strings"
	"testing"
)

// FuzzVerify: a cookie is a viewer's only if it is what one of the keys signs for that viewer.
func FuzzVerify(f *testing.F) {
	newKey, oldKey := []byte("a new key of 32 or more characters"), []byte("an old key of 32 or more characters")
	viewers := Viewers{Keys: [][]byte{newKey, oldKey}}
	old := Viewers{Keys: [][]byte{oldKey}}
	foreign := Viewers{Keys: [][]byte{[]byte("a foreign key of 32 or more chars")}}
	f.Fuzz(func(t *testing.T, value string) {
		if id := viewers.verify(value); id != "" && value != viewers.Sign(id) && value != old.Sign(id) {
			t.Errorf("%q is taken for the viewer %q", value, id)
		}
		id, _, _ := strings.Cut(value, ".")
		for _, c := range []struct {
			signed string
			valid  bool
		}{{viewers.Sign(id), true}, {old.Sign(id), true}, {foreign.Sign(id), false}, {viewers.Sign(id) + "." + value, false}} {
			want := ""
			if c.valid && wasIssued(id) {
				want = id
			}
			if got := viewers.verify(c.signed); got != want {
				t.Errorf("%q is taken for the viewer %q, want %q", c.signed, got, want)
			}
		}
	})
}
