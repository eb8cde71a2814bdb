package notice

import (
	"slices"
	"sync"

	"github.com/aval-systems/aval/pipeline"
)

// window is what of a partition was taken in and is not done yet. Deliveries end in any order; what is committed is
// the first that has not ended.
type window struct {
	mu     sync.Mutex
	open   []pending // by offset; what is done stays behind what is not
	next   int64     // after the last batch that was taken in
	note   func(pipeline.Mark)
	begun  int           // deliveries at work
	closed bool          // nothing begins any more
	quiet  chan struct{} // closed when it is closed and nothing is at work
}

type pending struct {
	offset int64
	done   bool
}

func newWindow() *window { return &window{next: -1, quiet: make(chan struct{})} }

// take adds deliveries of a batch, by offset, and returns the mark to commit for now; note commits later ones.
func (w *window) take(offsets []int64, next int64, note func(pipeline.Mark)) pipeline.Mark {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, offset := range offsets {
		w.open = append(w.open, pending{offset: offset})
	}
	w.next, w.note = next, note
	return w.mark()
}

// follows says whether a batch that begins there comes after those that were taken in. Otherwise the partition was
// begun anew, and needs another window.
func (w *window) follows(offset int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return offset >= w.next
}

// begin says whether a delivery may begin.
func (w *window) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.begun++
	return true
}

// end says that a delivery that had begun ended, and whether it is done.
func (w *window) end(offset int64, done bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begun--
	if w.closed && w.begun == 0 {
		close(w.quiet)
	}
	at, ok := slices.BinarySearchFunc(w.open, offset, func(p pending, offset int64) int {
		return int(p.offset - offset)
	})
	if !ok || !done {
		return
	}
	w.open[at].done = true
	if at > 0 {
		return
	}
	for len(w.open) > 0 && w.open[0].done {
		w.open = w.open[1:]
	}
	w.note(w.mark())
}

// mark is the position below which everything is done.
func (w *window) mark() pipeline.Mark {
	if len(w.open) > 0 {
		return pipeline.Mark{Offset: w.open[0].offset}
	}
	return pipeline.Mark{Offset: w.next}
}

// close lets nothing begin any more. The channel is closed when nothing is at work.
func (w *window) close() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed && w.begun == 0 {
		close(w.quiet)
	}
	w.closed = true
	return w.quiet
}
