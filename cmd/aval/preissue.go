package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/consumers/register"
)

func preIssueCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "pre-issue",
		Short: "See what the issuing banks have prepared and the buyers have to answer",
		Long: `See what the issuing banks have prepared and the buyers have to answer. A pre-issue says under which
terms a bank is ready to issue a certificate. The first answer decides: aval request or aval decline are the buyer's,
aval withdraw is the seller's.`,
		Args: cobra.NoArgs,
	}
	c.AddCommand(preIssueListCommand(), showCommand("pre-issue", `  aval pre-issue show 9f86d081884c7d659a2feaa0c55ad015
  aval pre-issue show 9f86d081884c7d659a2feaa0c55ad015 -o json`))
	return c
}

func preIssueListCommand() *cobra.Command {
	var f listFlags
	c := &cobra.Command{
		Use:   "list",
		Short: "List the pre-issues that wait for their buyers, the newest first",
		Long: `List the pre-issues that wait for their buyers, the newest first. Where there is an account, the buyer
confirms it; else the buyer enters one, of the kind that the funding says.`,
		Example: `  aval pre-issue list --buyer maria
  aval request $(aval pre-issue list --buyer maria --reference order-1 -q) --account AVALBRSPISS/0001`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			f.state = string(register.StateOpen)
			if err := f.check(time.Now()); err != nil {
				return err
			}
			return failed(f.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	f.register(c)
	return c
}
