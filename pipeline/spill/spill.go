// Package spill sorts items into parts by a hash, in memory as long as there is room for them, else in files: for
// whoever compares what is larger than memory, part by part.
//
//	reads   nothing
//	effect  writes files into a folder of its own, and removes it
//	emits   nothing
package spill

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

const (
	// MemoryDefault is how much is held in memory before anything is written, in bytes.
	MemoryDefault = 64 << 20
	// PartBytes is how large a part should be at most: whoever compares holds one.
	PartBytes = 8 << 20
	partsMin  = 16
	partsMax  = 4096
)

// PartsFor is how many parts items of so many bytes in all should be sorted into.
func PartsFor(bytes int64) int {
	return int(min(max(bytes/PartBytes+1, partsMin), partsMax))
}

// Store holds the items, part by part, each in the order in which it came. Many may add at a time.
type Store struct {
	parent string
	limit  int // bytes of a part that are held in memory
	parts  []part

	once sync.Once
	dir  string // of its own; empty: nothing was written
	err  error  // why there is none
}

type part struct {
	mu   sync.Mutex
	held []byte
	file bool
}

// New makes an empty store that writes into a folder below dir (empty: the system's for temporary files) what does
// not fit into memory.
func New(dir string, parts, memory int) *Store {
	if dir == "" {
		dir = os.TempDir()
	}
	return &Store{parent: dir, limit: max(memory/parts, 4<<10), parts: make([]part, parts)}
}

// Parts is how many parts there are.
func (s *Store) Parts() int { return len(s.parts) }

// Add adds an item to the part of its hash.
func (s *Store) Add(hash uint64, item []byte) error {
	i := int(hash % uint64(len(s.parts))) //nolint:gosec // few
	p := &s.parts[i]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = binary.AppendUvarint(p.held, uint64(len(item)))
	p.held = append(p.held, item...)
	if len(p.held) < s.limit {
		return nil
	}
	return s.write(i, p)
}

// write appends what is held of a part to its file. The file is not kept open: there may be more parts than the
// process may have files.
func (s *Store) write(i int, p *part) error {
	s.once.Do(func() { s.dir, s.err = os.MkdirTemp(s.parent, "aval-spill-") })
	if s.err != nil {
		return full(s.parent, s.err)
	}
	f, err := os.OpenFile(s.path(i), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return full(s.parent, err)
	}
	_, err = f.Write(p.held)
	if err = errors.Join(err, f.Close()); err != nil {
		return full(s.parent, err)
	}
	p.held, p.file = p.held[:0], true
	return nil
}

func (s *Store) path(i int) string { return filepath.Join(s.dir, fmt.Sprintf("part-%d", i)) }

// full says what to do about a folder that takes no more.
func full(dir string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("the disk of %s is full: name a folder with more room by --temp-dir: %w", dir, err)
	}
	return fmt.Errorf("keep what does not fit into memory in %s (--temp-dir): %w", dir, err)
}

// Each visits the items of a part, in their order. They are the caller's, until the next call.
func (s *Store) Each(i int, visit func(item []byte) error) error {
	p := &s.parts[i]
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.held
	if p.file {
		written, err := os.ReadFile(s.path(i))
		if err != nil {
			return fmt.Errorf("read what did not fit into memory: %w", err)
		}
		all = append(written, p.held...)
	}
	for len(all) > 0 {
		size, n := binary.Uvarint(all)
		if n <= 0 || uint64(len(all[n:])) < size {
			return fmt.Errorf("%s is damaged", s.path(i))
		}
		item := all[n : n+int(size)] //nolint:gosec // at most what is there
		if err := visit(item); err != nil {
			return err
		}
		all = all[n+int(size):] //nolint:gosec // as above
	}
	return nil
}

// Close removes everything.
func (s *Store) Close() error {
	s.parts = nil
	if s.dir == "" {
		return nil
	}
	return os.RemoveAll(s.dir)
}
