package main

import (
	"errors"
	"fmt"

	"github.com/aval-systems/aval/producers/demo"
)

// Exit codes: the same for all commands.
const (
	exitDone      = demo.ExitDecided
	exitFailed    = demo.ExitUnfinished // it could not finish, or what was checked is not so
	exitUsage     = demo.ExitUsage      // wrong usage or settings
	exitInvalid   = demo.ExitInvalid    // some of the input was invalid, was refused by a book, or is unknown
	exitUnchecked = 4                   // it could not be checked
)

// exitHelp tells users the codes.
const exitHelp = `Exit codes:
  0  done
  1  it could not finish, or what was checked is not so (a certificate that does not verify)
  2  wrong usage or settings
  3  some of the input was invalid, was refused by a book, or is unknown (an id that nobody knows)
  4  it could not be checked
`

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

// usage is an error of whoever called: a wrong flag, setting or argument.
func usage(format string, args ...any) error {
	return &codeError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// failed gives an error without a code the one of what could not finish.
func failed(err error) error {
	if err == nil {
		return nil
	}
	if coded := (*codeError)(nil); errors.As(err, &coded) {
		return err
	}
	return &codeError{code: exitFailed, err: err}
}
