package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

func directoryCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Say all that is wrong with a file of the directory",
		Long: `Say all that is wrong with a file of the directory, without any server. What contradicts the versions
before is found by publish.`,
		Example: `  aval directory check directory.yaml`,
		Args:    oneArgument("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			d, err := readDirectoryFile(args[0], c.InOrStdin())
			if err != nil {
				return failed(err)
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%d participants, %d parties: nothing is wrong\n",
				len(d.GetParticipants()), len(d.GetParties()))
			return failed(err)
		},
	}
}

func directoryPublishCommand() *cobra.Command {
	var flags serverFlags
	var format output
	var drop []string
	c := &cobra.Command{
		Use:   "publish FILE",
		Short: "Publish a file as the next version of the directory",
		Long: `Publish a file as the next version of the directory. It is refused, with all that is wrong with it at
once, where something in it is invalid, where it says what the latest version says, and where a key is missing, or is
another one, that a version before names: certificates name it, and are verified with it. A key that shall not be kept
is named by --drop.`,
		Example: `  aval directory publish directory.yaml
  aval directory show -o json | jq '.participants[0].name="Bank"' | aval directory publish -`,
		Args: oneArgument("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			d, err := readDirectoryFile(args[0], c.InOrStdin())
			if err != nil {
				return failed(err)
			}
			return failed(publishVersion(c.Context(), &flags, d, drop, format, c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	flags.register(c)
	format.register(c)
	c.Flags().StringSliceVar(&drop, "drop", nil, "ids of keys that the directory shall not name any more")
	return c
}

// publication is a version that was published, as it is told.
type publication struct {
	Version      uint64 `json:"version"`
	Participants int    `json:"participants"`
	Parties      int    `json:"parties"`
}

func publishVersion(
	ctx context.Context, flags *serverFlags, d *schemas.Directory, drop []string, format output,
	stdout, stderr io.Writer,
) error {
	s, err := connect(ctx, flags.place(), flags.logger(stderr))
	if err != nil {
		return err
	}
	defer s.close() //nolint:errcheck // what was published is durable
	versions, err := directoryVersions(ctx, s.kafka)
	if err != nil {
		return err
	}
	if faults := successorFaults(versions, d, drop); len(faults) > 0 {
		return refused("%w", errors.Join(faults...))
	}
	version, err := appendDirectory(ctx, s, d, latestOf(versions))
	if err != nil {
		return err
	}
	p := newPrinter(stdout, format,
		column[publication]{"version", func(p publication) string { return strconv.FormatUint(p.Version, 10) }},
		column[publication]{"participants", func(p publication) string { return strconv.Itoa(p.Participants) }},
		column[publication]{"parties", func(p publication) string { return strconv.Itoa(p.Parties) }},
	)
	told := publication{Version: version, Participants: len(d.GetParticipants()), Parties: len(d.GetParties())}
	if err := errors.Join(p.print(told), p.close()); err != nil {
		return err
	}
	if version == 1 {
		next(stderr, "aval run --keys FILE, with the private keys of the banks that issue; then aval account open")
	}
	return nil
}

func latestOf(versions []directoryVersion) directoryVersion {
	if len(versions) == 0 {
		return directoryVersion{}
	}
	return versions[len(versions)-1]
}

// successorFaults says why a directory cannot follow those before.
func successorFaults(versions []directoryVersion, d *schemas.Directory, drop []string) []error {
	latest := latestOf(versions)
	if latest.body != nil && proto.Equal(latest.body, d) {
		return []error{fmt.Errorf("nothing changed: version %d of the directory says the same", latest.number)}
	}
	now := keysByID(d)
	var faults []error
	for _, key := range orderedKeys(latest.body) {
		if _, stays := now[key.id]; !stays && !slices.Contains(drop, key.id) {
			faults = append(faults, fmt.Errorf("the key %s of %s is missing, which version %d names: certificates are "+
				"verified with it; keep it, or name it with --drop", key.id, key.bank, latest.number))
		}
	}
	return append(faults, strangerFaults(versions, now)...)
}

// strangerFaults names the keys that have an id which stood for another key once, be it long ago.
func strangerFaults(versions []directoryVersion, now map[string]directoryKey) []error {
	told := map[string]bool{}
	var faults []error
	for _, v := range slices.Backward(versions) {
		for _, key := range orderedKeys(v.body) {
			if x, ok := now[key.id]; ok && x != key && !told[key.id] {
				told[key.id] = true
				faults = append(faults, fmt.Errorf("the key %s is another one, or another bank's, than that of %s in "+
					"version %d; give it another id", key.id, key.bank, v.number))
			}
		}
	}
	return faults
}

// directoryKey is a bank's key.
type directoryKey struct{ id, bank, ed25519 string }

func orderedKeys(d *schemas.Directory) []directoryKey {
	var keys []directoryKey
	for _, p := range d.GetParticipants() {
		for _, key := range p.GetKeys() {
			keys = append(keys, directoryKey{key.GetId(), p.GetBank(), string(key.GetEd25519())})
		}
	}
	return keys
}

func keysByID(d *schemas.Directory) map[string]directoryKey {
	keys := map[string]directoryKey{}
	for _, key := range orderedKeys(d) {
		keys[key.id] = key
	}
	return keys
}

// appendDirectory publishes the version after the latest, and returns its number.
func appendDirectory(
	ctx context.Context, s *system, d *schemas.Directory, latest directoryVersion,
) (version uint64, err error) {
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(d)
	if err != nil {
		return 0, fmt.Errorf("write directory: %w", err)
	}
	sum := sha256.Sum256(content)
	id := schemas.DeriveID("directory", strconv.FormatUint(latest.number, 10), hex.EncodeToString(sum[:]))
	record, err := pipeline.Encode(schemas.TopicDirectory, schemas.Message{
		Attributes: schemas.Attributes{ID: id, Source: "/aval/directory", Time: time.Now().UTC()}, Body: d,
	})
	if err != nil {
		return 0, err
	}
	if err := s.kafka.Publish(ctx, []pipeline.Record{record}); err != nil {
		return 0, fmt.Errorf("publish directory: %w", err)
	}
	versions, err := directoryVersions(ctx, s.kafka)
	if err != nil {
		return 0, fmt.Errorf("the directory was published, as which version is not known: %w", err)
	}
	for i, v := range versions {
		if v.id != id {
			continue
		}
		if i > 0 && versions[i-1].number != latest.number {
			return 0, fmt.Errorf("it is version %d, and somebody else published %d meanwhile: compare them with "+
				"aval directory show --version", v.number, versions[i-1].number)
		}
		return v.number, nil
	}
	return 0, errors.New("the directory was published and is not in its topic: look at its retention")
}
