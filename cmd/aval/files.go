package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Modes of files: what is nobody else's, and what others may read.
const (
	modePrivate = 0o600
	modePublic  = 0o644
)

// makeFile makes a file that is not there yet: whole, or not at all.
func makeFile(path string, mode fs.FileMode, content []byte) error {
	temporary, err := writeBeside(path, mode, content)
	if err != nil {
		return err
	}
	// A link is refused where something stands under the name: nobody comes in between.
	if err := os.Link(temporary, path); err != nil {
		err = fmt.Errorf("write %s: %w", path, err)
		if errors.Is(err, fs.ErrExist) {
			err = usage("%s is there already, and is not overwritten; name another file", path)
		}
		return errors.Join(err, os.Remove(temporary))
	}
	return errors.Join(os.Remove(temporary), syncFolder(path))
}

// replaceFile writes a file: it has the whole new content, or what it had. What is no regular file, such as a terminal
// or a pipe, is written to as it is.
func replaceFile(path string, mode fs.FileMode, content []byte) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return writeInto(path, content)
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	temporary, err := writeBeside(path, mode, content)
	if err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(temporary))
	}
	return syncFolder(path)
}

func writeInto(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0) //nolint:gosec // the path is the user's own
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Close())
}

// writeBeside writes a file in the path's folder, which is to be renamed.
func writeBeside(path string, mode fs.FileMode, content []byte) (temporary string, err error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // 0600 from the beginning
	if err != nil {
		if fault := (*fs.PathError)(nil); errors.As(err, &fault) {
			err = fault.Err // its path is that of a file that nobody knows
		}
		return "", usage("write %s: %w", path, err)
	}
	_, err = file.Write(content)
	if err := errors.Join(err, file.Chmod(mode), file.Sync(), file.Close()); err != nil {
		return "", errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(file.Name()))
	}
	return file.Name(), nil
}

// syncFolder makes the name durable.
func syncFolder(path string) error {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// writeOut writes to a file that may be replaced, or to standard output where none, or -, is named.
func writeOut(path string, stdout io.Writer, content []byte) error {
	if path == "" || path == "-" {
		_, err := stdout.Write(content)
		return err
	}
	return replaceFile(path, modePublic, content)
}

// openIn opens a file, or standard input where it is -.
func openIn(path string, stdin io.Reader) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(stdin), nil
	}
	file, err := os.Open(path) //nolint:gosec // the path is the user's own
	if err != nil {
		return nil, usage("%w", err)
	}
	if info, err := file.Stat(); err == nil && info.IsDir() {
		_ = file.Close() // it was only looked at
		return nil, usage("%s is a folder; name a file", path)
	}
	return file, nil
}

// quoted is a word as a shell takes it, for commands that are to be copied.
func quoted(word string) string {
	safe := func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		return letter || r >= '0' && r <= '9' || strings.ContainsRune("%+,-./:=@_", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !safe(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(oneLine(word), "'", `'\''`) + "'"
}
