package telemetry

import (
	"maps"
	"sync"
	"sync/atomic"
)

// family finds what belongs to a key, and makes it the first time. To find it takes neither a lock nor memory: it is
// done for each batch.
type family[K comparable, V any] struct {
	make func(K) V

	mu    sync.Mutex // of who adds or drops
	known atomic.Pointer[map[K]V]
}

func (f *family[K, V]) of(key K) V {
	if known := f.known.Load(); known != nil {
		if v, ok := (*known)[key]; ok {
			return v
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	known := f.all()
	if v, ok := known[key]; ok {
		return v
	}
	v := f.make(key)
	next := make(map[K]V, len(known)+1)
	maps.Copy(next, known)
	next[key] = v
	f.known.Store(&next)
	return v
}

func (f *family[K, V]) drop(key K) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := maps.Clone(f.all())
	delete(next, key)
	f.known.Store(&next)
}

// all is what is known; it must not be written to.
func (f *family[K, V]) all() map[K]V {
	if known := f.known.Load(); known != nil {
		return *known
	}
	return nil
}
