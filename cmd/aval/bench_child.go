package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/aval-systems/aval/producers/bench"
)

// stopPatience is how long stages that were asked to end may take.
const stopPatience = 30 * time.Second

// stagesProcess is an `aval run` that a bench starts: apart from the bench, so that what each of them costs is known.
type stagesProcess struct {
	args    []string
	stderr  io.Writer
	process *exec.Cmd // nil while it does not run
	end     context.CancelFunc
	listen  string // where health and metrics are served
	peak    int64  // resident memory of those that have ended, in bytes
}

var _ bench.Stages = (*stagesProcess)(nil)

// newStages is the process of these stages; they reach the servers as the bench does.
func newStages(c *cobra.Command, s *system, stages []string) *stagesProcess {
	return &stagesProcess{stderr: c.ErrOrStderr(), args: append([]string{
		"--namespace", s.namespace, "--partitions", strconv.Itoa(s.partitions),
		"--stages", strings.Join(stages, ","), "--log-level", "warn",
	}, serverArgs(c)...)}
}

// serverArgs are the flags by which this command was told how to reach the servers, for another one: what was told in
// the environment that one finds there.
func serverArgs(c *cobra.Command) (args []string) {
	c.Flags().Visit(func(flag *pflag.Flag) {
		of := flag.Annotations[groupAnnotation]
		server := slices.Contains(of, string(groupServers)) && flag.Name != "namespace"
		if server || slices.Contains(of, string(groupSecurity)) {
			args = append(args, "--"+flag.Name+"="+flag.Value.String())
		}
	})
	return args
}

// Start starts the stages, which may be reading when they want to: they take what they find.
func (s *stagesProcess) Start(ctx context.Context) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("start stages: %w", err)
	}
	if s.listen, err = freeAddress(ctx); err != nil {
		return err
	}
	args := append([]string{"run", "--listen", s.listen}, s.args...)
	ctx, end := context.WithCancel(context.WithoutCancel(ctx))
	process := exec.CommandContext(ctx, program, args...) //nolint:gosec // this program itself
	process.Cancel = func() error { return process.Process.Signal(syscall.SIGTERM) }
	process.WaitDelay = stopPatience
	process.Env, process.Stderr = os.Environ(), s.stderr
	process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt of the terminal reaches the bench alone
	if err := process.Start(); err != nil {
		end()
		return fmt.Errorf("start stages: %w", err)
	}
	s.process, s.end = process, end
	return nil
}

// pid is the process that runs, or none.
func (s *stagesProcess) pid() int {
	if s == nil || s.process == nil {
		return 0
	}
	return s.process.Process.Pid
}

// resident is the most memory that the stages had, in bytes; zero where nobody can tell.
func (s *stagesProcess) resident() int64 {
	if s == nil {
		return 0
	}
	s.peak = max(s.peak, peak(s.pid()))
	return s.peak
}

// Stop lets the stages finish what is at work.
func (s *stagesProcess) Stop() error {
	if s.process == nil {
		return nil
	}
	s.resident()
	defer func() { s.process = nil }()
	s.end()
	err := s.process.Wait()
	state := s.process.ProcessState
	status, _ := state.Sys().(syscall.WaitStatus)
	switch {
	case state.Success(), status.Signaled() && status.Signal() == syscall.SIGTERM: // before it could listen to it
		return nil
	case status.Signaled():
		return fmt.Errorf("the stages did not end within %s of being asked to, or were killed: %w", stopPatience, err)
	}
	return fmt.Errorf("the stages ended with: %w", err)
}
