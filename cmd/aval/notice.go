package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

func noticeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "notice",
		Short: "Read an inbox, and make the keys that sign webhooks",
		Long: `Read an inbox, and make the keys that sign webhooks.

Whatever a seller, a buyer or a bank is told stands in its inbox: the records under its key in the topic notices, in
order, for 30 days. A recipient that the directory names with a webhook is called besides, with requests that are
signed as Standard Webhooks have it (standardwebhooks.com). Webhooks come at least once and in no order: their
webhook-id is the notice's id, the same at every try. What a webhook does not take within --webhook-give-up stands in
the inbox all the same. "aval listen" is a receiver to try it out with.`,
		Args: cobra.NoArgs,
	}
	c.AddCommand(noticeListCommand(), noticeFollowCommand(), noticeKeysCommand())
	return c
}

// inbox is whose inbox is read, from where on, and how it is printed.
type inbox struct {
	serverFlags

	recipient string
	from      string
	limit     int
	format    output
	follow    bool
}

func (f *inbox) register(c *cobra.Command, from string) {
	f.serverFlags.register(c)
	f.format.register(c)
	c.Flags().StringVar(&f.recipient, "recipient", "", "whose inbox: a party's or a bank's identifier")
	c.Flags().StringVar(&f.from, "from", "", "an offset, or a time such as 2026-01-31T10:00:00Z (default: "+from+")")
	c.Flags().IntVar(&f.limit, "limit", 0, "at most so many (default: all)")
	required(c, "recipient")
}

func noticeListCommand() *cobra.Command {
	var f inbox
	c := &cobra.Command{
		Use:   "list --recipient ID",
		Short: "List the notices of an inbox",
		Long: `List the notices of an inbox, the oldest first. Their time is that of what they tell. With JSON each has
its whole content: the terms and, where one was issued, the certificate.`,
		Example: `  aval notice list --recipient maria
  aval notice list --recipient AVALBRSP --from 2026-01-31T10:00:00Z -o ndjson`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return failed(f.read(c.Context(), c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	f.register(c, "the first that is kept")
	return c
}

func noticeFollowCommand() *cobra.Command {
	f := inbox{follow: true}
	c := &cobra.Command{
		Use:   "follow --recipient ID",
		Short: "Print the notices of an inbox as they come",
		Long:  `Print the notices of an inbox as they come, until it is interrupted.`,
		Example: `  aval notice follow --recipient maria
  aval notice follow --recipient maria --from 0 -o ndjson`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return failed(f.read(c.Context(), c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	f.register(c, "the next to come")
	return c
}

// inboxNotice is a notice of an inbox.
type inboxNotice struct {
	Topic     string          `json:"topic"`
	Partition int             `json:"partition"`
	Offset    int64           `json:"offset"`
	Time      time.Time       `json:"time"` // of what it tells
	ID        string          `json:"id"`
	Notice    json.RawMessage `json:"notice"`

	body *schemas.Notice
}

// The cells have widths of their own: rows come one by one.
func inboxColumns() []column[inboxNotice] {
	return []column[inboxNotice]{
		{"offset  ", func(n inboxNotice) string { return fmt.Sprintf("%-8d", n.Offset) }},
		{"time                    ", func(n inboxNotice) string { return n.Time.Format(timeMillis) }},
		{"id                              ", func(n inboxNotice) string { return fmt.Sprintf("%-32s", n.ID) }},
		{"subject       ", func(n inboxNotice) string {
			return fmt.Sprintf("%-14s", subjectWord(n.body.GetSubject()))
		}},
		{"as            ", func(n inboxNotice) string {
			return fmt.Sprintf("%-14s", roleWord(n.body.GetRecipient().GetRole()))
		}},
		{"invitation                      ", func(n inboxNotice) string {
			return fmt.Sprintf("%-32s", n.body.GetInvitationId())
		}},
		{"what", func(n inboxNotice) string { return noticeWhat(n.body) }},
	}
}

// timeMillis is RFC 3339 with milliseconds, always as wide.
const timeMillis = "2006-01-02T15:04:05.000Z07:00"

// noticeWhat is what comes of it: a certificate, a reason, a refused command.
func noticeWhat(n *schemas.Notice) string {
	var what []string
	if id := n.GetCertificateId(); id != "" {
		what = append(what, "certificate "+id)
	}
	if n.GetReason() != schemas.Reason_REASON_UNSPECIFIED {
		what = append(what, n.GetReason().Word())
	}
	if id := n.GetCommandId(); id != "" {
		what = append(what, "command "+id+" on "+n.GetAccount())
	}
	return strings.Join(what, ", ")
}

func subjectWord(s schemas.Subject) string { return enumWord(s.String(), "SUBJECT_") }

func roleWord(r schemas.Role) string { return enumWord(r.String(), "ROLE_") }

// enumWord is the name of an enumeration's value as people write it, such as pre-issue; empty where it is unset.
func enumWord(name, prefix string) string {
	word := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, prefix), "_", "-"))
	if word == "unspecified" {
		return ""
	}
	return word
}

// followPause is how often somebody who follows an inbox looks for more.
const followPause = 500 * time.Millisecond

// read prints an inbox: what it holds, or, following it, what comes.
func (f *inbox) read(ctx context.Context, stdout, stderr io.Writer) error {
	since, offset, err := f.begin()
	if err != nil {
		return err
	}
	logger := f.logger(stderr)
	s, err := connect(ctx, f.place(), logger)
	if err != nil {
		return err
	}
	defer s.close() //nolint:errcheck // nothing was written
	r := &inboxReader{
		inbox: f, system: s, since: since, next: offset, printer: newPrinter(stdout, f.format, inboxColumns()...),
		partition: schemas.PartitionOf([]byte(f.recipient), s.partitions), logger: logger,
	}
	err = r.run(ctx)
	if errors.Is(err, errEnough) || f.follow && ctx.Err() != nil {
		err = nil
	}
	return errors.Join(err, r.printer.close())
}

// begin is where to begin: at a time, or at an offset, below zero where none is named.
func (f *inbox) begin() (since time.Time, offset int64, err error) {
	if f.recipient == "" || f.limit < 0 {
		return since, 0, usage("--recipient must name one, and --limit must not be below zero")
	}
	if f.from == "" {
		return since, -1, nil
	}
	if offset, err = strconv.ParseInt(f.from, 10, 64); err == nil && offset >= 0 {
		return since, offset, nil
	}
	if since, err = time.Parse(time.RFC3339, f.from); err != nil {
		return since, 0, usage("--from %q, must be an offset such as 1234, or a time such as 2026-01-31T10:00:00Z",
			f.from)
	}
	return since, 0, nil
}

// inboxReader reads the partition in which an inbox is.
type inboxReader struct {
	*inbox

	system    *system
	partition int
	since     time.Time
	next      int64
	printer   *printer[inboxNotice]
	logger    *slog.Logger
}

func (r *inboxReader) run(ctx context.Context) error {
	for {
		first, end, err := r.system.kafka.Bounds(ctx, schemas.TopicNotices, r.partition)
		if err != nil {
			return fmt.Errorf("read inbox: %w", err)
		}
		if r.next < 0 && r.follow {
			r.next = end
		}
		r.next = max(r.next, first)
		err = r.system.kafka.Read(ctx, schemas.TopicNotices, r.partition, r.next, end, r.visit)
		if err != nil {
			return fmt.Errorf("read inbox: %w", err)
		}
		if !r.follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(followPause):
		}
	}
}

// visit prints those that are the recipient's. What cannot be read is not a recipient's business: it is a dead letter.
func (r *inboxReader) visit(records []pipeline.Record) error {
	for _, record := range records {
		r.next = record.Offset + 1
		if string(record.Key) != r.recipient {
			continue
		}
		in, err := pipeline.Decode(record)
		n, ok := in.Body.(*schemas.Notice)
		if err != nil || !ok {
			r.logger.Warn("a record of the inbox cannot be read", "partition", r.partition, "offset", record.Offset)
			continue
		}
		if in.Time.Before(r.since) {
			continue
		}
		text, err := schemas.ToJSON(n)
		if err != nil {
			return err
		}
		err = r.printer.print(inboxNotice{
			Topic: schemas.TopicNotices, Partition: r.partition, Offset: record.Offset, Time: in.Time, ID: in.ID,
			Notice: text, body: n,
		})
		if err != nil {
			return err
		}
		if r.limit > 0 && r.printer.count >= r.limit {
			return errEnough
		}
	}
	return r.printer.flush()
}
