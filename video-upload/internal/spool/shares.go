package spool

import (
	"cmp"
	"os"
	"slices"
	"time"
)

// admit returns an error if an upload of that viewer and address may not be created now. For an upload within its shares
// it makes room.
func (s *Spool) admit(meta Metadata) error {
	ups, err := s.unfinished()
	if err != nil {
		return err
	}
	viewer, address := shares(ups, meta)
	switch {
	case viewer.open >= ofViewer.open:
		return ErrTooManyOpen
	case viewer.held/ofViewer.create >= s.limit, address.open >= ofAddress.open, address.held/ofAddress.create >= s.limit:
		return ErrShare
	case !s.makeRoom(ups):
		return ErrBusy
	}
	return nil
}

// checkSpace returns ErrNoSpace if no upload of that viewer and address may continue.
func (s *Spool) checkSpace(meta Metadata) error {
	ups, err := s.unfinished()
	if err != nil {
		return err
	}
	viewer, address := shares(ups, meta)
	if viewer.held/ofViewer.resume >= s.limit || address.held/ofAddress.resume >= s.limit || sum(ups).held/ofAll.resume >= s.limit {
		return ErrNoSpace
	}
	return nil
}

// makeRoom reports whether the uploads are within the bounds of all, after it has removed others if need be: of too many
// the emptiest go first, and of these the oldest; of those that hold too much, the oldest.
func (s *Spool) makeRoom(ups []Upload) bool {
	all := sum(ups)
	tooMany := func() bool { return all.open >= ofAll.open }
	tooLarge := func() bool { return all.held/ofAll.create >= s.limit }
	remove := func(while func() bool, order func(a, b Upload) int) {
		slices.SortFunc(ups, order)
		for _, up := range ups {
			if !while() {
				return
			}
			if s.removeIdle(up) {
				all.open--
				all.held -= up.Offset
			}
		}
	}
	oldest := func(a, b Upload) int { return a.Modified.Compare(b.Modified) }
	if tooMany() {
		remove(tooMany, func(a, b Upload) int { return cmp.Or(cmp.Compare(a.Offset, b.Offset), oldest(a, b)) })
	}
	if tooLarge() {
		ups = slices.DeleteFunc(ups, func(up Upload) bool { return up.Offset == 0 }) // their removal frees nothing
		remove(tooLarge, oldest)
	}
	return !tooMany() && !tooLarge()
}

// removeIdle removes an upload, and reports whether it has. It keeps those that are complete, that got bytes a short time
// ago, or that a request is changing.
func (s *Spool) removeIdle(up Upload) bool {
	if up.Complete() || up.Offset > 0 && time.Since(up.Modified) < idleAfter {
		return false
	}
	lock := s.Lock(up.ID)
	if locked, err := lock.TryLock(); err != nil || !locked {
		return false
	}
	defer func() { _ = lock.Unlock() }()
	now, err := s.Find(up.ID)
	return err == nil && !now.Finished && now.Offset == up.Offset && s.Remove(up.ID) == nil
}

// use is what some of the uploads take.
type use struct {
	open int
	held int64 // bytes
}

func sum(ups []Upload) (u use) {
	for _, up := range ups {
		u = u.plus(up)
	}
	return u
}

// shares returns the use of a viewer, and that of an address. One that is not known has none.
func shares(ups []Upload, meta Metadata) (viewer, address use) {
	for _, up := range ups {
		if up.MetaData.Owner == meta.Owner {
			viewer = viewer.plus(up)
		}
		if meta.Address != "" && up.MetaData.Address == meta.Address {
			address = address.plus(up)
		}
	}
	return viewer, address
}

func (u use) plus(up Upload) use { return use{u.open + 1, u.held + up.Offset} }

// unfinished returns the uploads that take space. Of one without its info only the size is known.
func (s *Spool) unfinished() ([]Upload, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	s.cache.Lock()
	defer s.cache.Unlock()
	var ups []Upload
	known := map[string]Info{}
	for _, entry := range entries {
		if !IsID(entry.Name()) {
			continue
		}
		stat, err := entry.Info()
		if err != nil {
			continue // it was removed a moment ago
		}
		up := Upload{Offset: stat.Size(), Modified: stat.ModTime()}
		id := entry.Name()
		var cached bool
		if up.Info, cached = s.known[id]; !cached {
			up.Info, _ = s.info(id)
		}
		if up.MetaData.Owner != "" { // the info is complete
			known[id] = up.Info
		}
		up.ID = id
		ups = append(ups, up)
	}
	s.known = known
	return ups, nil
}
