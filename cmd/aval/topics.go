package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/pipeline/kafka"
	"github.com/aval-systems/aval/schemas"
)

func topicsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "topics",
		Short: "Make, check and describe the topics of a namespace",
		Long: `Make, check and describe the topics of a namespace. A process that runs stages makes those that are
absent and refuses to start on those that are unsafe; these commands do so by themselves, such as where the processes
may make none.`,
		Args: cobra.NoArgs,
	}
	c.AddCommand(topicsCreateCommand(), topicsCheckCommand(), topicsDescribeCommand())
	return c
}

func topicsCreateCommand() *cobra.Command {
	var flags serverFlags
	var format output
	c := &cobra.Command{
		Use:   "create",
		Short: "Make the topics of a namespace, with the right settings",
		Long: `Make the topics of a namespace that are absent, with the right settings. Where there are three brokers or
more each has three replicas, of which two must have a record before it is acknowledged; else each broker has one.
Topics that are there stay as they are; where they are unsafe nothing is made. The number of partitions is the
namespace's for ever: so many processes can share a stage.`,
		Example: `  aval topics create --kafka broker1:9092,broker2:9092,broker3:9092 --partitions 24
  aval topics create --namespace trial -o json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return failed(createTopics(c.Context(), &flags, format, c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	flags.register(c, groupNew, groupDev)
	format.register(c)
	return c
}

func topicsCheckCommand() *cobra.Command {
	var flags serverFlags
	var format output
	c := &cobra.Command{
		Use:   "check",
		Short: "Say which settings of topics and brokers are not as they must be",
		Long: `Say which settings of a namespace's topics, and of their brokers, are not as they must be, and how to
mend them. It changes nothing.

Exit codes: 0 nothing is unsafe, 1 something is, 4 something could not be checked.`,
		Example: `  aval topics check
  aval topics check --kafka broker1:9092 -o json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return failed(checkTopics(c.Context(), &flags, format, c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	flags.register(c)
	format.register(c)
	return c
}

func topicsDescribeCommand() *cobra.Command {
	var flags serverFlags
	var format output
	c := &cobra.Command{
		Use:   "describe [TOPIC...]",
		Short: "Tell what the topics of a namespace are, and what they hold",
		Long: `Tell what the topics of a namespace carry, by which key, who writes and who reads them, how long records
stay, and which offsets each partition keeps: its first one, and the one after its last.`,
		Example: `  aval topics describe
  aval topics describe entries pre-issues -o json`,
		ValidArgs: topicNames(),
		Args:      topicArgs,
		RunE: func(c *cobra.Command, names []string) error {
			return failed(describeTopics(c.Context(), &flags, names, format, c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	flags.register(c)
	format.register(c)
	return c
}

// topicArgs refuses names that are no topics'.
func topicArgs(_ *cobra.Command, names []string) error {
	for _, name := range names {
		if _, ok := schemas.TopicOf(name); !ok {
			return usage("there is no topic %q%s; there are %s", name, didYouMean(name, topicNames()),
				strings.Join(topicNames(), ", "))
		}
	}
	return nil
}

// made is a topic, and what became of it.
type made struct {
	Topic       string `json:"topic"`
	Partitions  int    `json:"partitions"`
	Replication int    `json:"replication"`
	Made        bool   `json:"made"` // else it was there
}

func createTopics(ctx context.Context, flags *serverFlags, format output, stdout, stderr io.Writer) error {
	p := flags.place()
	s, err := connectKafka(ctx, p, flags.logger(stderr))
	if err != nil {
		return err
	}
	defer s.close()   //nolint:errcheck // it was only asked
	p.embedded = true // Redis is none of its business
	found, err := s.check(ctx, p)
	if err != nil {
		return err
	}
	before := found.absent()
	if found, err = s.makeTopics(ctx, found, p.partitions); err != nil {
		return err
	}
	list := newPrinter(stdout, format,
		column[made]{"topic", func(m made) string { return m.Topic }},
		column[made]{"partitions", func(m made) string { return strconv.Itoa(m.Partitions) }},
		column[made]{"replication", func(m made) string { return strconv.Itoa(m.Replication) }},
		column[made]{"", func(m made) string { return map[bool]string{true: "made", false: "was there"}[m.Made] }})
	for _, t := range found.topics {
		m := made{s.namespace + "." + t.Name, t.Partitions, t.Replication, slices.Contains(before, t.Name)}
		if err := list.print(m); err != nil {
			return err
		}
	}
	return list.close()
}

// makeTopics makes the topics that are absent, and returns what there is then. The number of partitions is the
// namespace's, else what is asked for.
func (s *system) makeTopics(ctx context.Context, found surroundings, partitions int) (surroundings, error) {
	if has := found.partitions; has > 0 && partitions > 0 && partitions != has {
		return found, usage("--partitions %d: the namespace has %d, for its whole life", partitions, has)
	}
	s.partitions = cmp.Or(found.partitions, partitions, partitionsDefault)
	found.partitions = s.partitions
	replication := min(max(len(found.brokers), 1), replicationLeast)
	inSync := "1"
	if replication >= replicationLeast {
		inSync = strconv.Itoa(inSyncLeast)
	}
	var specs []kafka.TopicSpec
	found.topics = slices.Clone(found.topics)
	for i, t := range schemas.Topics() {
		if found.topics[i].Partitions > 0 {
			continue
		}
		spec := kafka.TopicSpec{Name: t.Name, Partitions: t.PartitionCount(s.partitions), Configs: t.Config()}
		spec.Configs[settingInSync] = inSync
		specs = append(specs, spec)
		found.topics[i].Partitions, found.topics[i].Replication = spec.Partitions, replication
	}
	if len(specs) == 0 {
		return found, nil
	}
	err := s.kafka.EnsureTopics(ctx, specs, replication)
	if errors.Is(err, kafka.ErrForbidden) {
		return found, usage("%w; let someone who may run `aval topics create`, or allow it: kafka-acls --add "+
			"--allow-principal User:NAME --operation Create --topic %s. --resource-pattern-type prefixed",
			err, s.namespace)
	}
	return found, err
}

func checkTopics(ctx context.Context, flags *serverFlags, format output, stdout, stderr io.Writer) error {
	p := flags.place()
	s, err := connectKafka(ctx, p, flags.logger(stderr))
	if err != nil {
		return err
	}
	defer s.close() //nolint:errcheck // it was only asked
	found, err := s.lookAtTopics(ctx)
	if err == nil {
		err = s.lookAtBrokers(ctx, &found)
	}
	if err != nil {
		return err
	}
	all := found.faults(s.namespace, p)
	for _, name := range found.absent() {
		all = append(all, fault{
			Level: levelUnsafe, Where: string(ofTopic) + " " + s.namespace + "." + name, Setting: "topic", Is: "absent",
			Must: "there", Why: "nothing can be written to it", Mend: "aval topics create",
		})
	}
	list := newPrinter(stdout, format,
		column[fault]{"level", func(f fault) string { return string(f.Level) }},
		column[fault]{"where", func(f fault) string { return f.Where }},
		column[fault]{"setting", func(f fault) string { return f.Setting }},
		column[fault]{"is", func(f fault) string { return f.Is }},
		column[fault]{"must be", func(f fault) string { return f.Must }},
		column[fault]{"mend", func(f fault) string { return f.Mend }})
	for _, f := range all {
		if err := list.print(f); err != nil {
			return err
		}
	}
	if err := list.close(); err != nil {
		return err
	}
	switch {
	case unsafe(all):
		return &codeError{code: exitFailed}
	case len(found.hidden) > 0:
		return &codeError{code: exitUnchecked}
	}
	return nil
}

// described is a topic, what is agreed about it, and what it holds.
type described struct {
	Topic       string   `json:"topic"`
	Partitions  int      `json:"partitions"` // 0: it is absent
	Replication int      `json:"replication"`
	Kind        string   `json:"kind"`
	RetentionMS int64    `json:"retention_ms"` // -1: for ever
	Carries     string   `json:"carries"`
	Key         string   `json:"key"`
	Owner       string   `json:"owner"`
	Readers     []string `json:"readers"`
	Records     int64    `json:"records"` // offsets that are kept; of a book's journal, takeovers included
	Offsets     []span   `json:"offsets"`
}

// span is what a partition keeps.
type span struct {
	Partition int   `json:"partition"`
	First     int64 `json:"first"`
	End       int64 `json:"end"` // the offset after the last
}

func describeTopics(
	ctx context.Context, flags *serverFlags, names []string, format output, stdout, stderr io.Writer,
) error {
	p := flags.place()
	s, err := connectKafka(ctx, p, flags.logger(stderr))
	if err != nil {
		return err
	}
	defer s.close() //nolint:errcheck // it was only asked
	found, err := s.lookAtTopics(ctx)
	if err != nil {
		return err
	}
	if len(found.absent()) == len(found.topics) {
		return s.noNamespace(p)
	}
	list := newPrinter(stdout, format, describedColumns()...)
	for i, t := range schemas.Topics() {
		if len(names) > 0 && !slices.Contains(names, t.Name) {
			continue
		}
		d, err := s.describe(ctx, t, found.topics[i])
		if err == nil {
			err = list.print(d)
		}
		if err != nil {
			return err
		}
	}
	return list.close()
}

func describedColumns() []column[described] {
	return []column[described]{
		{"topic", func(d described) string { return d.Topic }},
		{"partitions", func(d described) string {
			if d.Partitions == 0 {
				return "absent"
			}
			return strconv.Itoa(d.Partitions)
		}},
		{"replication", func(d described) string { return strconv.Itoa(d.Replication) }},
		{"retention", func(d described) string { return retentionWords(d.RetentionMS) }},
		{"carries", func(d described) string { return d.Carries }},
		{"key", func(d described) string { return d.Key }},
		{"owner", func(d described) string { return d.Owner }},
		{"readers", func(d described) string { return strings.Join(d.Readers, ", ") }},
		{"records", func(d described) string { return strconv.FormatInt(d.Records, 10) }},
		{"offsets", func(d described) string {
			spans := make([]string, len(d.Offsets))
			for i, o := range d.Offsets {
				spans[i] = fmt.Sprintf("%d-%d", o.First, o.End)
			}
			return strings.Join(spans, " ")
		}},
	}
}

// retentionWords are for people: days where there are whole ones.
func retentionWords(ms int64) string {
	const day = 24 * time.Hour
	d := time.Duration(ms) * time.Millisecond
	switch {
	case ms < 0:
		return "for ever"
	case d%day == 0:
		return strconv.Itoa(int(d/day)) + " days"
	}
	return d.String()
}

func (s *system) describe(ctx context.Context, t schemas.Topic, has kafka.Topic) (described, error) {
	d := described{
		Topic: s.namespace + "." + t.Name, Partitions: has.Partitions, Replication: has.Replication,
		Kind: string(t.Kind), RetentionMS: t.RetentionMillis(), Carries: t.Body, Key: t.Key, Owner: t.Owner,
		Readers: t.Readers, Offsets: []span{},
	}
	if is, err := strconv.ParseInt(has.Settings["retention.ms"].Value, 10, 64); err == nil {
		d.RetentionMS = is
	}
	for partition := range has.Partitions {
		first, end, err := s.kafka.Bounds(ctx, t.Name, partition)
		if err != nil {
			return d, err
		}
		d.Records += end - first
		d.Offsets = append(d.Offsets, span{partition, first, end})
	}
	return d, nil
}
