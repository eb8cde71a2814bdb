package certificate_test

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aval-systems/aval/consumers/certificate"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

const (
	receivingBank = "AVALBRSP"
	issuingBank   = "PAGABRRJ"
	shop          = "shop"
	maria         = "maria"
	shopAccount   = receivingBank + "/0001"
	mariaAccount  = issuingBank + "/0002"
)

// invitation is one that makes sense, changed.
func invitation(change ...func(*schemas.Invitation)) *schemas.Invitation {
	x := &schemas.Invitation{
		ReceivingBank: receivingBank, ReceivingAccount: shopAccount, Seller: shop, Reference: "order 1",
		Buyer:   maria,
		Amount:  &schemas.Money{MinorUnits: 17720, Currency: "BRL"},
		Funding: schemas.Funding_FUNDING_DEPOSIT,
		Issuing: &schemas.IssuingInformation{
			Kind: &schemas.IssuingInformation_Bank{Bank: issuingBank},
		},
		Route:            schemas.Route_ROUTE_DIRECT,
		AccountSource:    schemas.AccountSource_ACCOUNT_SOURCE_ENTERED,
		DirectoryVersion: 1,
	}
	for _, c := range change {
		c(x)
	}
	if x.Id == "" {
		x.Id = schemas.InvitationID(x.GetReceivingBank(), x.GetSeller(), x.GetReference())
	}
	return x
}

// terms are those of an offer to the invitation, changed.
func terms(change ...func(*schemas.Terms)) *schemas.Terms {
	x := invitation()
	y := &schemas.Terms{
		InvitationId: x.GetId(), ContentDigest: schemas.ContentDigest(x),
		Seller: shop, Reference: x.GetReference(),
		Buyer: maria, Amount: x.GetAmount(), Funding: x.GetFunding(), ReceivingBank: receivingBank,
		ReceivingAccount: shopAccount, IssuingBank: issuingBank, AccountSource: x.GetAccountSource(),
		Route: x.GetRoute(), KeyId: "demonstration-paga", DirectoryVersion: 1,
	}
	for _, c := range change {
		c(y)
	}
	return y
}

func request(t *schemas.Terms) *schemas.IssuanceRequest {
	return &schemas.IssuanceRequest{Terms: t, Verb: &schemas.IssuanceRequest_Request{
		Request: &schemas.Request{Buyer: t.GetBuyer(), Account: mariaAccount},
	}}
}

func done() *schemas.Decision {
	return &schemas.Decision{Offset: 7, Outcome: schemas.Outcome_OUTCOME_DONE}
}

func repeated() *schemas.Decision {
	return &schemas.Decision{Offset: 7, Outcome: schemas.Outcome_OUTCOME_REPEAT}
}

func refused(r schemas.Reason) *schemas.Decision {
	return &schemas.Decision{Offset: 7, Outcome: schemas.Outcome_OUTCOME_REFUSED, Reason: r}
}

func conflict() *schemas.Decision {
	return &schemas.Decision{Offset: 7, Outcome: schemas.Outcome_OUTCOME_CONFLICT}
}

func unreadable() *schemas.Decision {
	return &schemas.Decision{Offset: 7, Outcome: schemas.Outcome_OUTCOME_UNREADABLE}
}

func in(topic string, body proto.Message) pipeline.In {
	return pipeline.In{
		Attributes: schemas.Attributes{
			ID: schemas.DeriveID("test", topic), Source: "/aval/test", Time: time.Unix(1790000000, 0).UTC(),
		},
		Topic: topic, Partition: 3, Offset: 40, Body: body,
	}
}

// answer is the entry of a movement, with the decision.
func answer(d *schemas.Decision, out pipeline.Out) *schemas.Entry {
	movement, _ := proto.Clone(out.Body).(*schemas.Movement)
	return &schemas.Entry{Decision: d, Id: out.ID, Movement: movement}
}

func vouchFor(t *testing.T, x *schemas.Invitation) pipeline.Out {
	t.Helper()
	return only(t, follow(t, certificate.Invitation(), in(schemas.TopicInvitations, x)))
}

func holdFor(t *testing.T, x *schemas.IssuanceRequest) pipeline.Out {
	t.Helper()
	item := &schemas.PreIssue{Decision: done(), Id: "r1", Request: x}
	return only(t, follow(t, certificate.Funding(directories{1}), in(schemas.TopicPreIssues, item)))
}

func only(t *testing.T, outs []pipeline.Out) pipeline.Out {
	t.Helper()
	if len(outs) != 1 {
		t.Fatalf("got %d follows, want 1: %q", len(outs), told(outs))
	}
	return outs[0]
}

// follow runs the stage on a valid message; all that follows must be valid too.
func follow(t *testing.T, s pipeline.Stage, m pipeline.In) []pipeline.Out {
	t.Helper()
	if err := schemas.Validate(m.Body); err != nil {
		t.Fatalf("Validate(%T) = %v", m.Body, err)
	}
	if _, err := pipeline.Follows(s, m); err != nil {
		t.Fatalf("Follows(%s) = %v", s.Name, err)
	}
	outs, err := s.Follow(m)
	if err != nil {
		t.Fatalf("%s.Follow() = %v", s.Name, err)
	}
	return outs
}

// told writes what follows as lines to read.
func told(outs []pipeline.Out) []string {
	var lines []string
	for _, out := range outs {
		line := out.Topic + " " + schemas.KeyOf(out.Body)
		switch body := out.Body.(type) {
		case *schemas.Refusal:
			line += " " + body.GetReason().Word()
		case *schemas.Notice:
			line += " " + role(body.GetRecipient()) + " " +
				strings.TrimPrefix(body.GetSubject().String(), "SUBJECT_")
			if body.GetReason() != schemas.Reason_REASON_UNSPECIFIED {
				line += " " + body.GetReason().Word()
			}
			var then strings.Builder
			for _, r := range body.GetThen() {
				then.WriteString(" > " + role(r))
			}
			line += then.String()
		case *schemas.DeadLetter:
			line += " " + body.GetOriginal().GetReason()
		case *schemas.IssuanceRequest:
			line += " " + body.GetTerms().GetIssuingBank() + " " + body.GetTerms().GetKeyId()
		}
		lines = append(lines, strings.ReplaceAll(line, invitation().GetId(), "INVITATION"))
	}
	return lines
}

func role(r *schemas.Recipient) string { return strings.TrimPrefix(r.GetRole().String(), "ROLE_") }

func check(t *testing.T, outs []pipeline.Out, want ...string) {
	t.Helper()
	if got := told(outs); !slices.Equal(got, want) {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// directories has one version, and its topic ends with it.
type directories struct{ version uint64 }

func (d directories) At(version uint64) (*certificate.Directory, error) {
	if version != d.version {
		return nil, fmt.Errorf("read it: %w", certificate.ErrNoVersion)
	}
	return certificate.NewDirectory(participants()), nil
}

// outage is a directory that cannot be read now.
type outage struct{}

var errOutage = errors.New("the directory does not answer")

func (outage) At(uint64) (*certificate.Directory, error) { return nil, errOutage }

func participants() *schemas.Directory {
	return &schemas.Directory{Participants: []*schemas.Participant{
		{
			Bank:         receivingBank,
			SigningKeyId: "demonstration-aval",
			Contacts:     []string{"boss@paga.example", "+5511999"},
			Keys:         []*schemas.PublicKey{{Id: "demonstration-aval"}},
		},
		{
			Bank:         issuingBank,
			SigningKeyId: "demonstration-paga",
			Contacts:     []string{"@Paga.Example", "Eva@Avalon.example"},
			Keys:         []*schemas.PublicKey{{Id: "paga-before"}, {Id: "demonstration-paga"}},
		},
	}}
}

func keys(tb testing.TB) *certificate.Keys {
	tb.Helper()
	private := map[string]ed25519.PrivateKey{}
	for _, bank := range []string{"paga", "aval"} {
		id, key := certificate.DemonstrationKey(bank)
		private[id] = key
	}
	k, err := certificate.NewKeys(private)
	if err != nil {
		tb.Fatalf("NewKeys() = %v", err)
	}
	return k
}

func at(second int64) *timestamppb.Timestamp { return &timestamppb.Timestamp{Seconds: second} }

func anyOf(t *testing.T, m proto.Message) *anypb.Any {
	t.Helper()
	a, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
