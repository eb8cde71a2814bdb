package register

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/aval-systems/aval/schemas"
)

// Story is all that happened to one invitation, each part in the order of the log. It tells more than a
// seller may know: why the money was refused.
type Story struct {
	Invitation string // the identifier

	Invitations  []Fact // *schemas.Invitation: more than one if they contradict
	Vouches      []Fact // *schemas.Entry
	PreIssues    []Fact // *schemas.PreIssue: the offer, the decision on it, and answers that came to nothing
	Holds        []Fact // *schemas.Entry
	Certificates []Fact // *schemas.Certificate
	Refusals     []Fact // *schemas.Refusal
}

// Empty says that nothing is known of the invitation: it never was, or its story has expired.
func (s Story) Empty() bool {
	parts := [][]Fact{s.Invitations, s.Vouches, s.PreIssues, s.Holds, s.Certificates, s.Refusals}
	return !slices.ContainsFunc(parts, func(part []Fact) bool { return len(part) > 0 })
}

// Story returns what is known of an invitation. The accounts book's part stands with the accounts, which the
// rest names.
func (r *Register) Story(ctx context.Context, invitation string) (Story, error) {
	s := Story{Invitation: invitation}
	home := schemas.PartitionOf([]byte(invitation), r.config.Partitions)
	parts := []part{
		{topic: schemas.TopicInvitations, partition: home, into: &s.Invitations},
		{topic: schemas.TopicPreIssues, partition: home, into: &s.PreIssues},
		{topic: schemas.TopicCertificates, partition: home, into: &s.Certificates},
		{topic: schemas.TopicRefusals, partition: home, into: &s.Refusals},
	}
	if err := r.read(ctx, invitation, parts); err != nil {
		return Story{}, err
	}
	entries, err := r.entries(ctx, s)
	if err != nil {
		return Story{}, err
	}
	for _, f := range entries {
		entry, _ := f.Body.(*schemas.Entry)
		if entry.GetMovement().GetHold() != nil {
			s.Holds = append(s.Holds, f)
		} else {
			s.Vouches = append(s.Vouches, f)
		}
	}
	return s, nil
}

// part is what a partition holds of a story out of one topic.
type part struct {
	topic     string
	partition int
	into      *[]Fact
}

func (r *Register) read(ctx context.Context, invitation string, parts []part) error {
	replies := make([]*redis.MapStringStringCmd, len(parts))
	_, err := r.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, part := range parts {
			replies[i] = p.HGetAll(ctx, r.storyKey(part.partition, part.topic, invitation))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read story of %s: %w", invitation, err)
	}
	for i, part := range parts {
		for _, value := range replies[i].Val() {
			f, err := decodeFact(part.topic, part.partition, []byte(value))
			if err != nil {
				return fmt.Errorf("read story of %s: %w", invitation, err)
			}
			*part.into = append(*part.into, f)
		}
		slices.SortFunc(*part.into, func(a, b Fact) int { return cmp.Compare(a.Offset, b.Offset) })
	}
	return nil
}

// entries returns the accounts book's part of a story whose other parts are known.
func (r *Register) entries(ctx context.Context, s Story) ([]Fact, error) {
	partitions := map[int]bool{}
	for _, account := range accounts(s) {
		partitions[schemas.PartitionOf([]byte(account), r.config.Partitions)] = true
	}
	var parts []part
	for _, p := range slices.Sorted(maps.Keys(partitions)) {
		parts = append(parts, part{topic: schemas.TopicEntries, partition: p, into: new([]Fact)})
	}
	if len(parts) == 0 {
		return nil, nil
	}
	if err := r.read(ctx, s.Invitation, parts); err != nil {
		return nil, err
	}
	var entries []Fact
	for _, part := range parts {
		entries = append(entries, *part.into...)
	}
	return entries, nil
}

// accounts returns the accounts that a story names: those that receive, and those that issue.
func accounts(s Story) []string {
	named := map[string]bool{}
	terms := func(t *schemas.Terms) {
		named[t.GetReceivingAccount()], named[t.GetIssuingAccount()] = true, true
	}
	for _, f := range s.Invitations {
		x, _ := f.Body.(*schemas.Invitation)
		named[x.GetReceivingAccount()] = true
	}
	for _, f := range s.PreIssues {
		x, _ := f.Body.(*schemas.PreIssue)
		terms(x.GetRequest().GetTerms())
		named[x.GetRequest().GetRequest().GetAccount()] = true
	}
	for _, f := range s.Certificates {
		x, _ := f.Body.(*schemas.Certificate)
		terms(x.GetTerms())
		named[x.GetIssuingAccount()] = true
	}
	delete(named, "")
	return slices.Sorted(maps.Keys(named))
}
