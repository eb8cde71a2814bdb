// Command aval issues electronic certificates: a bank's undertaking to pay, secured by money that is frozen on
// the buyer's account.
//
//	aval demo   plays all parties over a file of orders, on an embedded Kafka and Redis or on real ones
//	aval run    runs the stages against real servers
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/producers/demo"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without globals: it runs the command and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once

	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	coded := &codeError{code: demo.ExitUsage, err: err} // what a command does not code is cobra's: flags and arguments
	errors.As(err, &coded)
	if coded.err != nil {
		_, _ = fmt.Fprintln(stderr, "aval:", coded.err)
	}
	return coded.code
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "aval",
		Short: "Issue electronic certificates, secured by frozen money",
		Long: `aval issues electronic certificates: a bank's undertaking to pay, secured by money that is frozen on the
buyer's account. A seller invites; the receiving bank vouches and routes; the issuing bank prepares a pre-issue;
the buyer agrees with an account; the issuing bank freezes the amount and issues.

Exit codes: 0 all went well, 1 it could not finish, 2 wrong usage, 3 some of the input was invalid.`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(demoCommand(), runCommand())
	return root
}

// codeError is an error with the exit code that it means. Without an error inside, everything was said before.
type codeError struct {
	code int
	err  error
}

func (e *codeError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *codeError) Unwrap() error { return e.err }

func usage(format string, args ...any) error {
	return &codeError{code: demo.ExitUsage, err: fmt.Errorf(format, args...)}
}

func failed(err error) error {
	if err == nil {
		return nil
	}
	if coded := (*codeError)(nil); errors.As(err, &coded) {
		return err
	}
	return &codeError{code: demo.ExitUnfinished, err: err}
}
