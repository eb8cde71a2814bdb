package register

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// Stories tells what happened to invitations: where is known to the register, what is read in the log.
type Stories struct {
	client redis.UniversalClient
	log    Log
	config Config
}

// NewStories returns what reads the register that New writes.
func NewStories(client redis.UniversalClient, log Log, c Config) *Stories {
	return &Stories{client: client, log: log, config: c.withDefaults()}
}

// Story is all that happened to one invitation, each part in the order of the log. It tells more than a
// seller may know: why the money was refused.
type Story struct {
	Invitation string // the identifier
	State      State
	Forgotten  int // of how many facts the log does not keep the words any more

	Invitations  []Fact // *schemas.Invitation: more than one if they contradict
	Vouches      []Fact // *schemas.Entry
	PreIssues    []Fact // *schemas.PreIssue: the offer, the decision on it, and answers that came to nothing
	Holds        []Fact // *schemas.Entry
	Certificates []Fact // *schemas.Certificate
	Refusals     []Fact // *schemas.Refusal
}

// ErrUnknown says that the register knows nothing of an identifier: it never was, was forgotten, or is still to come.
var ErrUnknown = errors.New("the register does not know it")

// Row returns what the register knows of an invitation.
func (s *Stories) Row(ctx context.Context, invitation string) (Row, error) {
	rows, err := s.Rows(ctx, schemas.PartitionOf([]byte(invitation), s.config.Partitions), invitation)
	if err != nil {
		return nil, err
	}
	return rows[0], nil
}

// Rows returns what the register knows of invitations of one partition, in their order; of some it may be nothing.
func (s *Stories) Rows(ctx context.Context, partition int, invitations ...string) ([]Row, error) {
	names := make([]string, len(invitations))
	for i, invitation := range invitations {
		names[i] = nameOf(invitation)
	}
	found, err := s.rows(ctx, []int{partition}, names)
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// rows returns, of each partition, what it has under the names.
func (s *Stories) rows(ctx context.Context, partitions []int, names []string) ([][]Row, error) {
	if len(names) == 0 {
		return make([][]Row, len(partitions)), nil
	}
	buckets := s.config.buckets()
	var replies []*redis.SliceCmd
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, partition := range partitions {
			for _, bucket := range buckets {
				replies = append(replies, p.HMGet(ctx, s.config.bucketKey(partition, bucket), names...))
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read register: %w", err)
	}
	found := make([][]Row, len(partitions))
	for i := range partitions {
		found[i] = make([]Row, len(names))
		for j := range names {
			if found[i][j], err = rowIn(replies[i*len(buckets):(i+1)*len(buckets)], j); err != nil {
				return nil, fmt.Errorf("read register: %w", err)
			}
		}
	}
	return found, nil
}

// rowIn is a name's row of what several buckets have.
func rowIn(replies []*redis.SliceCmd, name int) (Row, error) {
	var rows []Row
	for _, reply := range replies {
		text, ok := reply.Val()[name].(string)
		if !ok {
			continue
		}
		row, err := parseRow(text)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return merge(rows...), nil
}

// Find returns the invitation that an identifier belongs to: its own, its certificate's or its hold's. ErrUnknown where
// the register knows none.
func (s *Stories) Find(ctx context.Context, id string) (invitation string, err error) {
	row, err := s.Row(ctx, id)
	if err != nil {
		return "", err
	}
	if len(row) > 0 {
		return id, nil
	}
	var partitions []int
	for p := range s.config.Partitions {
		partitions = append(partitions, p)
	}
	names := []string{nameOfHold(id)}
	if name, ok := nameOfCertificate(id); ok {
		names = append(names, name)
	}
	found, err := s.rows(ctx, partitions, names)
	if err != nil {
		return "", err
	}
	for p, rows := range found {
		for _, row := range rows {
			if invitation, err := s.owner(ctx, p, row); err != nil || invitation != "" {
				return invitation, err
			}
		}
	}
	return "", fmt.Errorf("%s: %w", id, ErrUnknown)
}

// owner reads in the log whose row it is.
func (s *Stories) owner(ctx context.Context, partition int, row Row) (invitation string, err error) {
	for _, m := range row {
		f, err := s.read(ctx, m.at(partition))
		if errors.Is(err, ErrGone) {
			continue
		}
		return f.Invitation(), err
	}
	return "", nil
}

// at is where the log tells it.
func (m Mark) at(partition int) pipeline.Place {
	return pipeline.Place{Topic: m.Kind.Topic(), Partition: partition, Offset: m.Offset}
}

// Story returns what is known of an invitation; ErrUnknown where nothing is.
func (s *Stories) Story(ctx context.Context, invitation string) (Story, error) {
	row, err := s.Row(ctx, invitation)
	if err != nil {
		return Story{}, err
	}
	if len(row) == 0 {
		return Story{}, fmt.Errorf("%s: %w", invitation, ErrUnknown)
	}
	t := &telling{Stories: s, Story: Story{Invitation: invitation, State: row.State()}, told: map[pipeline.Place]bool{}}
	home := schemas.PartitionOf([]byte(invitation), s.config.Partitions)
	for _, m := range row {
		f, err := t.fact(ctx, m.at(home))
		if err != nil {
			return Story{}, err
		}
		if f != nil {
			if err := t.add(ctx, *f); err != nil {
				return Story{}, err
			}
		}
	}
	t.sort()
	return t.Story, nil
}

// Offer returns the pre-issue of an invitation whose row has one.
func (s *Stories) Offer(ctx context.Context, invitation string, row Row) (Fact, error) {
	m, ok := row.Offer()
	if !ok {
		return Fact{}, fmt.Errorf("%s: %w", invitation, ErrUnknown)
	}
	home := schemas.PartitionOf([]byte(invitation), s.config.Partitions)
	f, err := s.read(ctx, m.at(home))
	if err == nil && f.Invitation() != invitation {
		return Fact{}, fmt.Errorf("%s: %w", invitation, ErrUnknown)
	}
	return f, err
}

// telling is a story that is being told.
type telling struct {
	*Stories
	Story

	told map[pipeline.Place]bool
}

// fact reads what is to be told; nil where it was told, is not kept any more, or is another's.
func (t *telling) fact(ctx context.Context, at pipeline.Place) (*Fact, error) {
	if t.told[at] {
		return nil, nil //nolint:nilnil // nothing to tell is no fault
	}
	t.told[at] = true
	f, err := t.read(ctx, at)
	if errors.Is(err, ErrGone) {
		t.Forgotten++
		return nil, nil //nolint:nilnil // see above
	}
	if err != nil || f.Invitation() != t.Invitation {
		return nil, err
	}
	return &f, nil
}

// add tells a fact, and what it follows from of what the accounts book said.
func (t *telling) add(ctx context.Context, f Fact) error {
	switch body := f.Body.(type) {
	case *schemas.Invitation:
		same := func(g Fact) bool {
			x, _ := g.Body.(*schemas.Invitation)
			return bytes.Equal(schemas.ContentDigest(x), schemas.ContentDigest(body))
		}
		if !slices.ContainsFunc(t.Invitations, same) {
			t.Invitations = append(t.Invitations, f)
		}
	case *schemas.PreIssue:
		t.PreIssues = append(t.PreIssues, f)
		if body.GetRequest().GetOffer() != nil {
			return t.vouch(ctx, f)
		}
	case *schemas.Certificate:
		t.Certificates = addOnce(t.Certificates, f)
		return t.entry(ctx, f.record)
	case *schemas.Refusal:
		t.Refusals = addOnce(t.Refusals, f)
		return t.entry(ctx, f.record)
	}
	return nil
}

// addOnce adds what does not stand there already under its identifier: what follows may have been published twice.
func addOnce(facts []Fact, f Fact) []Fact {
	if slices.ContainsFunc(facts, func(g Fact) bool { return g.ID == f.ID }) {
		return facts
	}
	return append(facts, f)
}

// vouch tells what was vouched for before the offer: the offer's command says where.
func (t *telling) vouch(ctx context.Context, offer Fact) error {
	at, _ := offer.Command()
	command, err := t.read(ctx, at)
	if errors.Is(err, ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	return t.entry(ctx, command.record)
}

// entry tells the accounts book's answer that is the record's cause.
func (t *telling) entry(ctx context.Context, follow pipeline.Record) error {
	at, ok := pipeline.CauseOf(follow)
	if !ok || at.Topic != schemas.TopicEntries {
		return nil
	}
	f, err := t.fact(ctx, at)
	if err != nil || f == nil {
		return err
	}
	if entry, _ := f.Body.(*schemas.Entry); entry.GetMovement().GetHold() != nil {
		t.Holds = append(t.Holds, *f)
	} else {
		t.Vouches = append(t.Vouches, *f)
	}
	return nil
}

func (t *telling) sort() {
	for _, part := range [][]Fact{t.Invitations, t.Vouches, t.PreIssues, t.Holds, t.Certificates, t.Refusals} {
		slices.SortStableFunc(part, func(a, b Fact) int { return cmp.Compare(a.Offset, b.Offset) })
	}
}
