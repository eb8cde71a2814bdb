package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func manCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "man --dir DIR",
		Short: "Write the manual's pages, one a command",
		Long: `Write the manual's pages, one a command, into a folder, which is made where it is absent. The variable
SOURCE_DATE_EPOCH dates them, as it does for others who build packages.`,
		Example: `  aval man --dir /usr/local/share/man/man1
  aval man --dir man && man man/aval-run.1`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if dir == "" {
				return usage("--dir is missing: the folder for the pages")
			}
			if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // a manual is for everybody
				return usage("--dir %s: %w", dir, plain(err))
			}
			header := &doc.GenManHeader{Section: "1", Source: "aval", Manual: "aval"}
			root := c.Root()
			root.DisableAutoGenTag = true
			if err := doc.GenManTree(root, header, dir); err != nil {
				return failed(fmt.Errorf("write the manual: %w", err))
			}
			return nil
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "the folder for the pages")
	_ = c.MarkFlagDirname("dir")
	return c
}
