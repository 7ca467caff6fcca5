package spool

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

const limit = 1 << 20 // bytes of one upload

type testSpool struct {
	*Spool
	*testing.T
}

func open(t *testing.T) testSpool {
	t.Helper()
	s, err := Open(t.TempDir(), limit)
	if err != nil {
		t.Fatal(err)
	}
	return testSpool{s, t}
}

// create creates an upload of size limit, or expects an error.
func (s testSpool) create(viewer, address string, want error) (id string) {
	s.Helper()
	id = uuid.NewString()
	err := s.Create(Info{ID: id, Size: limit, MetaData: Metadata{Owner: viewer, Address: address}})
	if !errors.Is(err, want) {
		s.Fatalf("viewer %q, address %q: %v, want %v", viewer, address, err, want)
	}
	return id
}

// arrived makes an upload one that has so many bytes, the last of which arrived so long ago.
func (s testSpool) arrived(id string, size int64, ago time.Duration) {
	s.Helper()
	then := time.Now().Add(-ago)
	if err := errors.Join(os.Truncate(s.path(id, ""), size), os.Chtimes(s.path(id, ""), then, then)); err != nil {
		s.Fatal(err)
	}
}

func (s testSpool) exists(id string) bool {
	_, err := s.Find(id)
	return err == nil
}

// TestSharesAreBelowTheTotal: not even two together keep out the others.
func TestSharesAreBelowTheTotal(t *testing.T) {
	for name, share := range map[string]bounds{"viewer": ofViewer, "address": ofAddress} {
		if share.open > ofAll.open/3 || share.resume > ofAll.create/3 || share.create >= share.resume {
			t.Errorf("%s: %+v, all: %+v", name, share, ofAll)
		}
	}
}

func TestShareInCount(t *testing.T) {
	s := open(t)
	for range MaxOpen {
		s.create("ann", "", nil)
	}
	s.create("ann", "192.0.2.1", ErrTooManyOpen)
	for i := range ofAddress.open {
		s.create(fmt.Sprint("viewer", i), "192.0.2.1", nil)
	}
	s.create("bob", "192.0.2.1", ErrShare)
	s.create("bob", "192.0.2.2", nil)
	s.create("bob", "", nil)
}

func TestShareInBytes(t *testing.T) {
	s := open(t)
	first := s.create("ann", "192.0.2.1", nil)
	s.arrived(first, ofViewer.create*limit, 0)
	s.create("ann", "192.0.2.1", ErrShare)
	second := s.create("bob", "192.0.2.1", nil)
	s.arrived(second, ofViewer.create*limit, 0) // the two hold what an address may
	s.create("eve", "192.0.2.1", ErrShare)
	other := s.create("eve", "192.0.2.2", nil)

	s.arrived(first, ofViewer.resume*limit, 0)
	s.arrived(second, ofViewer.resume*limit, 0)
	for id, want := range map[string]error{first: ErrNoSpace, second: ErrNoSpace, other: nil} {
		up, err := s.Find(id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Append(up, strings.NewReader("x")); !errors.Is(err, want) {
			t.Errorf("upload of %s: %v, want %v", up.MetaData.Owner, err, want)
		}
	}
}

// TestShareToResume: a viewer and an address may each hold so much that none of their uploads continues.
func TestShareToResume(t *testing.T) {
	s := open(t)
	first, second := s.create("ann", "192.0.2.1", nil), s.create("ann", "192.0.2.2", nil)
	s.arrived(first, ofViewer.resume*limit-1, 0)
	s.arrived(second, 1, 0)
	var ids []string
	for _, viewer := range []string{"bob", "eve", "joe"} {
		ids = append(ids, s.create(viewer, "192.0.2.3", nil))
	}
	for _, id := range ids {
		s.arrived(id, ofAddress.resume/int64(len(ids))*limit, 0)
	}
	for _, id := range append(ids, second) {
		up, err := s.Find(id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Append(up, strings.NewReader("x")); !errors.Is(err, ErrNoSpace) {
			t.Errorf("upload of %s: %v, want %v", up.MetaData.Owner, err, ErrNoSpace)
		}
	}
}

// TestTotalInBytes: viewers without an address, each within its share, do not fill the disk.
func TestTotalInBytes(t *testing.T) {
	s := open(t)
	var ids []string
	for i := range ofAll.create {
		ids = append(ids, s.create(fmt.Sprint("viewer", i), "", nil))
	}
	for _, id := range ids {
		s.arrived(id, ofAll.resume*limit/int64(len(ids))+1, 0)
	}
	s.create("ann", "", ErrBusy)
	up, err := s.Find(ids[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(up, strings.NewReader("x")); !errors.Is(err, ErrNoSpace) {
		t.Errorf("%v, want %v", err, ErrNoSpace)
	}
}

// TestTooMany: a new upload takes the place of the emptiest, and of these of the oldest.
func TestTooMany(t *testing.T) {
	s := open(t)
	fill := func(n int) (ids []string) {
		for i := range n {
			id := uuid.NewString()
			if err := s.write(Info{ID: id, Size: limit, MetaData: Metadata{Owner: fmt.Sprint("viewer", i)}}); err != nil {
				t.Fatal(err)
			}
			s.arrived(id, 1, 2*idleAfter)
			ids = append(ids, id)
		}
		return ids
	}
	begun := fill(ofAll.open - 4)
	old, older, busy, complete := s.create("a", "", nil), s.create("b", "", nil), s.create("c", "", nil), s.create("d", "", nil)
	s.arrived(old, 0, time.Minute)
	s.arrived(older, 0, 2*time.Minute)
	s.arrived(busy, 0, 3*time.Minute)
	s.arrived(complete, limit, 2*idleAfter)
	lock := s.Lock(busy)
	if locked, err := lock.TryLock(); err != nil || !locked {
		t.Fatal(locked, err)
	}
	defer func() { _ = lock.Unlock() }()

	for i, gone := range []string{older, old} {
		added := s.create(fmt.Sprint("new", i), "", nil)
		s.arrived(added, 2, 0)
		if s.exists(gone) || !s.exists(busy) || !s.exists(complete) {
			t.Errorf("%d: removed %t, kept %t, %t", i, !s.exists(gone), s.exists(busy), s.exists(complete))
		}
	}
	s.create("e", "", nil)
	kept := 0
	for _, id := range begun {
		if s.exists(id) {
			kept++
		}
	}
	if kept != len(begun)-1 {
		t.Errorf("%d of %d are left, want one less", kept, len(begun))
	}
}

// TestTooLarge: the oldest that stand still make room; those that got bytes lately do not.
func TestTooLarge(t *testing.T) {
	s := open(t)
	var ids []string
	for i := range ofAll.create {
		id := s.create(fmt.Sprint("viewer", i), "", nil)
		s.arrived(id, limit+1, 0) // more than complete: what it has does not matter here
		ids = append(ids, id)
	}
	s.create("ann", "", ErrBusy)
	s.arrived(ids[3], limit+1, 2*idleAfter)
	s.arrived(ids[5], limit+1, 3*idleAfter)
	s.arrived(ids[7], limit, 4*idleAfter) // complete: it is on its way to the storage
	empty := s.create("ann", "", nil)
	if !s.exists(ids[7]) {
		t.Error("a complete one is gone")
	}
	if s.exists(ids[5]) || !s.exists(ids[3]) {
		t.Errorf("the oldest is there: %t, the next: %t", s.exists(ids[5]), s.exists(ids[3]))
	}
	s.arrived(ids[7], 2*limit, 0)
	s.arrived(empty, 0, 5*idleAfter)
	s.create("bob", "", nil)
	if !s.exists(empty) {
		t.Error("an empty one is gone, which frees nothing")
	}
}

func TestExpired(t *testing.T) {
	for _, test := range []struct {
		up   Upload
		age  time.Duration
		want bool
	}{
		{Upload{Info: Info{Size: 5}}, keepEmptyFor - time.Minute, false},
		{Upload{Info: Info{Size: 5}}, keepEmptyFor + time.Minute, true},
		{Upload{Info: Info{Size: 5}, Offset: 1}, keepFor - time.Minute, false},
		{Upload{Info: Info{Size: 5}, Offset: 1}, keepFor + time.Minute, true},
		{Upload{Info: Info{Size: 5}, Offset: 5}, keepFor + time.Minute, false},
		{Upload{Info: Info{Size: 5}, Offset: 5, Finished: true}, keepFor - time.Minute, false},
		{Upload{Info: Info{Size: 5}, Offset: 5, Finished: true}, keepFor + time.Minute, true},
	} {
		test.up.Modified = time.Now().Add(-test.age)
		if got := test.up.Expired(); got != test.want {
			t.Errorf("%+v: %t", test.up, got)
		}
	}
}
