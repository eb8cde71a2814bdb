package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/producers/bench"
	"github.com/aval-systems/aval/producers/demo"
)

// invite measures aval invite over a file: a process of its own, without stages beside it.
func (f *benchFlags) invite(c *cobra.Command, sizes benchSizes) (report bench.Report, err error) {
	ctx := c.Context()
	s, own, err := f.system(ctx, c)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if own {
		defer func() { err = errors.Join(err, s.remove(context.WithoutCancel(ctx))) }()
	}
	folder, err := os.MkdirTemp("", "aval-bench-")
	if err != nil {
		return report, fmt.Errorf("make folder of rows: %w", err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	path := filepath.Join(folder, "rows.csv")
	if err := writeRows(path, sizes); err != nil {
		return report, err
	}
	if err := benchDirectory(ctx, s); err != nil {
		return report, err
	}
	p := f.place()
	m := &meter{system: s, kafka: listener(p.kafka[0]), redis: listener(p.redis[0])}
	args := []string{"invite", path, "--namespace", s.namespace, "--report", filepath.Join(folder, "report.csv")}
	report, err = m.child(ctx, c, append(args, serverArgs(c)...), int64(sizes.rows))
	report.Kind, report.Partitions = bench.KindInvite, s.partitions
	return report, err
}

func writeRows(path string, sizes benchSizes) (err error) {
	file, err := os.Create(path) //nolint:gosec // in a folder of its own
	if err != nil {
		return fmt.Errorf("write rows: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return bench.WriteRows(file, sizes.rows, sizes.parties, filepath.Base(filepath.Dir(path)))
}

func benchDirectory(ctx context.Context, s *system) error {
	keys, err := demonstrationKeys(s.namespace)
	if err != nil {
		return err
	}
	_, err = bench.Directory(ctx, bench.Config{
		Directory: demo.Directory(nil, publicKeys(s.namespace, keys)), Run: s.namespace, Now: time.Now,
	}, bench.Deps{Publisher: s.kafka, Log: s.kafka})
	return err
}

// demo measures how long aval demo takes.
func (f *benchFlags) demo(c *cobra.Command, _ benchSizes) (bench.Report, error) {
	report, err := (&meter{}).child(c.Context(), c, []string{"demo", "--progress", "none"}, 1)
	report.Kind = bench.KindDemo
	return report, err
}

// child runs this program once over so many items, and tells what it cost.
func (m *meter) child(
	ctx context.Context, c *cobra.Command, args []string, items int64,
) (report bench.Report, err error) {
	program, err := os.Executable()
	if err != nil {
		return report, fmt.Errorf("start aval %s: %w", args[0], err)
	}
	process := exec.CommandContext(ctx, program, args...) //nolint:gosec // this program itself
	var said strings.Builder
	process.Env, process.Stderr, process.Stdout = os.Environ(), c.ErrOrStderr(), &said
	before, err := m.usage(ctx)
	if err != nil {
		return report, err
	}
	began := time.Now()
	err = process.Run()
	took := time.Since(began)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && args[0] == "demo" && exit.ExitCode() == exitInvalid {
		err = nil // the sample has invalid rows, on purpose
	}
	if err != nil {
		return report, fmt.Errorf("aval %s: %w\n%s", args[0], err, said.String())
	}
	after, err := m.usage(ctx)
	if err != nil {
		return report, err
	}
	state := process.ProcessState
	before.Aval, after.Aval = 0, state.UserTime()+state.SystemTime()
	report = bench.Report{
		Offered: bench.Backlog, Count: items, Seconds: bench.Seconds(took), Rate: bench.Rate(items, took),
	}
	report.Between(before, after, items)
	if own, ok := state.SysUsage().(*syscall.Rusage); ok {
		report.Resident(own.Maxrss << 10) // Linux counts KiB
	}
	m.describe(ctx, &report)
	return report, nil
}
