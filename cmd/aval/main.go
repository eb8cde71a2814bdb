// Command aval issues electronic certificates: a bank's undertaking to pay, secured by money that is frozen on
// the buyer's account.
//
// There is a file for each command, named after it; rootCommand lists them. What commands share stands in exit.go (the
// exit codes), help.go, output.go (-o), settings*.go (flags, variables and the file), servers.go and system.go (which
// finds the servers, and knows the stages).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// run is main without globals: it runs the command and returns the exit code.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	ctx, stop := interruptible(ctx)
	defer stop()

	redis.SetLogger(quietRedis{})
	root := rootCommand(environ)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := mended(root.ExecuteContext(ctx))
	if err == nil {
		return exitDone
	}
	coded := &codeError{code: exitUsage, err: err} // what a command does not code is cobra's: flags and arguments
	errors.As(err, &coded)
	if coded.err != nil {
		_, _ = fmt.Fprintln(stderr, "aval:", coded.err)
	}
	return coded.code
}

// interruptible returns a context that ends with the first signal. The second ends the process at once: before anyone
// hears of the first, signals mean again what they mean by default.
func interruptible(parent context.Context) (_ context.Context, stop func()) {
	signaled, unnotify := signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancelCause(parent)
	context.AfterFunc(signaled, func() {
		unnotify()
		cancel(context.Cause(signaled))
	})
	return ctx, unnotify
}

func rootCommand(environ []string) *cobra.Command {
	root := &cobra.Command{
		Use:   "aval",
		Short: "Issue electronic certificates, secured by frozen money",
		Long: `aval issues electronic certificates: a bank's undertaking to pay, secured by money that is frozen on the
buyer's account. A seller invites; the receiving bank vouches and routes; the issuing bank prepares a pre-issue;
the buyer agrees with an account; the issuing bank freezes the amount and issues.

` + exitHelp,
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			if err := absentFlags(c); err != nil {
				return err
			}
			return loadSettings(c, environ)
		},
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(
		accountCommand(),
		benchCommand(),
		certificateCommand(),
		configCommand(),
		deadLetterCommand(),
		declineCommand(),
		demoCommand(),
		devCommand(),
		directoryCommand(),
		invitationCommand(),
		invariantsCommand(),
		inviteCommand(),
		keysCommand(),
		listenCommand(),
		manCommand(),
		noticeCommand(),
		preIssueCommand(),
		rebuildCommand(),
		replayCommand(),
		requestCommand(),
		runCommand(),
		settingsTopic(),
		shardCommand(),
		topicsCommand(),
		verifyCommand(),
		withdrawCommand(),
		watchCommand(),
	)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	guide(root)
	return root
}
