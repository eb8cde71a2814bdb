package demo

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// checkOutputs looks whether the files can be written, before anything is begun.
func checkOutputs(c Config) error {
	orders, _ := os.Stat(c.Orders) // whether it is there is for the reader to say
	var errs []error
	seen := map[string]string{}
	outputs := []struct{ option, path string }{{"--report", c.Report}, {"--certificates", c.Certificates}}
	if c.Certificates != "" {
		outputs = append(outputs, struct{ option, path string }{"--certificates", c.Certificates + ".jwks"})
	}
	for _, o := range outputs {
		if o.path == "" {
			continue
		}
		info, err := os.Stat(o.path)
		switch {
		case err == nil && info.IsDir():
			errs = append(errs, fmt.Errorf("%s %s: is a folder; give a file", o.option, o.path))
		case err == nil && orders != nil && os.SameFile(orders, info):
			errs = append(errs, fmt.Errorf("%s %s: is the file of orders; give another", o.option, o.path))
		case err != nil:
			if folder, err := os.Stat(filepath.Dir(o.path)); err != nil || !folder.IsDir() {
				errs = append(errs, fmt.Errorf("%s %s: there is no such folder", o.option, o.path))
			}
		}
		if path := filepath.Clean(o.path); seen[path] != "" {
			errs = append(errs, fmt.Errorf("%s and %s name one file, %s", seen[path], o.option, path))
		} else {
			seen[path] = o.option
		}
	}
	return errors.Join(errs...)
}

// toFile writes a file at once: it has the whole new content, or what it had. What is no regular file, such
// as a pipe, is written to as it is. Without a path, what is written goes nowhere.
func toFile(path string, write func(io.Writer) error) (err error) {
	if path == "" {
		return write(io.Discard)
	}
	if isDevice(path) {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0) //nolint:gosec // the path is the user's own
		if err != nil {
			return fmt.Errorf("write: %w", err)
		}
		return errors.Join(write(f), f.Close())
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err := errors.Join(write(f), f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// isDevice says whether the path must not be replaced by a file: it is a pipe or a terminal, or it stands for one
// of the process's own, wherever that leads.
func isDevice(path string) bool {
	info, err := os.Stat(path)
	return err == nil && (!info.Mode().IsRegular() || strings.HasPrefix(filepath.Clean(path), "/dev/"))
}
