package invite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Input is a file of invitations, or a stream.
type Input struct {
	Name string
	Size int64 // of a file, in bytes, when it was opened; 0 of a stream

	in   io.Reader
	file *os.File    // nil of what is none
	was  os.FileInfo // of a file; nil of a stream
}

// Stdin names the standard input as a file.
const Stdin = "-"

// pollEvery is how long a stream may be silent before somebody looks whether it is still wanted.
const pollEvery = 200 // milliseconds

// Open opens a file. Stdin is the stream that is given. Who opens, closes.
func Open(ctx context.Context, path string, stdin io.Reader) (*Input, error) {
	if path == Stdin {
		i := &Input{Name: "standard input", in: stdin}
		if file, ok := stdin.(*os.File); ok {
			return i, i.over(ctx, file)
		}
		return i, nil
	}
	file, err := os.Open(path) //nolint:gosec // the path is the user's own
	if err != nil {
		return nil, fmt.Errorf("open invitations: %w: give a file, or - for the standard input", err)
	}
	i := &Input{Name: path}
	if err := i.over(ctx, file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return i, nil
}

// over reads a file that can be read twice up to its size, and everything else as it comes.
func (i *Input) over(ctx context.Context, file *os.File) error {
	info, err := file.Stat()
	switch {
	case err != nil:
		return fmt.Errorf("look at %s: %w", i.Name, err)
	case info.IsDir():
		return fmt.Errorf("%s is a folder: give a file", i.Name)
	}
	i.file = file
	if !info.Mode().IsRegular() {
		i.in = &stream{ctx, file}
		return nil
	}
	at, err := file.Seek(0, io.SeekCurrent) // the standard input may be a file that somebody has read from
	if err != nil {
		return fmt.Errorf("look at %s: %w", i.Name, err)
	}
	i.was, i.Size = info, max(0, info.Size()-at)
	i.in = io.LimitReader(file, i.Size)
	return nil
}

// stream reads what may wait for ever, as long as it is wanted.
type stream struct {
	ctx  context.Context //nolint:containedctx // a reader's Read has none
	file *os.File
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	for {
		if err := s.ctx.Err(); err != nil {
			return 0, err
		}
		fds := []unix.PollFd{{Fd: int32(s.file.Fd()), Events: unix.POLLIN}} //nolint:gosec // descriptors are few
		n, err := unix.Poll(fds, pollEvery)
		switch {
		case errors.Is(err, unix.EINTR) || err == nil && n == 0:
			continue
		case err != nil:
			return 0, fmt.Errorf("wait for %s: %w", s.file.Name(), err)
		}
		return s.file.Read(p)
	}
}

// again begins a file anew; a stream cannot.
func (i *Input) again() bool {
	if i.was == nil {
		return false
	}
	if _, err := i.file.Seek(i.was.Size()-i.Size, io.SeekStart); err != nil {
		return false
	}
	i.in = io.LimitReader(i.file, i.Size)
	return true
}

// changed says what became of a file while it was read.
func (i *Input) changed() error {
	if i.was == nil {
		return nil
	}
	now, err := i.file.Stat()
	if err != nil {
		return fmt.Errorf("look at %s again: %w", i.Name, err)
	}
	var change string
	switch before := i.was.Size(); {
	case now.Size() > before:
		change = fmt.Sprintf("grew from %d to %d bytes", before, now.Size())
	case now.Size() < before:
		change = fmt.Sprintf("shrank from %d to %d bytes", before, now.Size())
	case !now.ModTime().Equal(i.was.ModTime()):
		change = "was written at " + now.ModTime().UTC().Format(time.RFC3339)
	default:
		return nil
	}
	return &ChangedError{Name: i.Name, Change: change}
}

// ChangedError says that a file became another one while it was read.
type ChangedError struct {
	Name   string
	Change string
}

// Error says what and what to do.
func (e *ChangedError) Error() string {
	return fmt.Sprintf("%s %s while it was read: its whole rows up to there were handed in; "+
		"run again when nobody writes to it, which is safe", e.Name, e.Change)
}

// Close closes the file that Open opened.
func (i *Input) Close() error {
	if i.file == nil || i.file == os.Stdin {
		return nil
	}
	return i.file.Close()
}
