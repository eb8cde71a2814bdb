package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// lockWait is how long a directory in use is waited for: a process that was killed holds its lock for as
	// long as the system takes to let go of it, and the one that follows it may be faster.
	lockWait  = 2 * time.Second
	lockPause = 20 * time.Millisecond
)

// lock creates the directory and makes the process its only user, until it unlocks it or ends. Two brokers
// over the same files would each write what the other does not know of.
func lock(ctx context.Context, dir string) (unlock func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	name := filepath.Join(dir, "lock")
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator names it
	if err != nil {
		return nil, fmt.Errorf("open the data directory's lock: %w", err)
	}
	switch err = await(ctx, file); {
	case ctx.Err() != nil:
		err = fmt.Errorf("lock %s: %w", name, ctx.Err())
	case errors.Is(err, syscall.EWOULDBLOCK):
		err = fmt.Errorf("%s is in use by process %s; stop that one, or name another directory",
			dir, owner(file))
	case err != nil:
		err = fmt.Errorf("lock %s: %w", name, err)
	default:
		err = sign(file)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	// Closing ends the lock. The file stays, lest two processes lock two files of one name.
	return file.Close, nil
}

// await takes the lock, or says after lockWait that another has it still.
func await(ctx context.Context, file *os.File) error {
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(lockPause):
		}
	}
}

func sign(file *os.File) error {
	if err := file.Truncate(0); err != nil {
		return fmt.Errorf("sign the data directory's lock: %w", err)
	}
	if _, err := file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return fmt.Errorf("sign the data directory's lock: %w", err)
	}
	return nil
}

func owner(file *os.File) string {
	text, err := io.ReadAll(io.LimitReader(file, 32))
	if pid := strings.TrimSpace(string(text)); err == nil && pid != "" {
		return pid
	}
	return "(it has not said which)"
}
