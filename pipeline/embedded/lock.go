package embedded

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// lock creates the directory and makes the process its only user, until it unlocks it or ends. Two brokers
// over the same files would each write what the other does not know of.
func lock(dir string) (unlock func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	name := filepath.Join(dir, "lock")
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator names it
	if err != nil {
		return nil, fmt.Errorf("open the data directory's lock: %w", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
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
