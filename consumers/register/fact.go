package register

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// Fact is something that happened to an invitation, and where it stands in the log.
type Fact struct {
	Topic     string
	Partition int
	Offset    int64
	ID        string    // of the message
	Time      time.Time // the message's own
	Body      proto.Message
}

// fact is what is stored of a message.
type fact struct {
	invitation string
	field      string // what makes it one: the same again changes nothing
	must       bool   // it decides, and comes in however much there is
	body       proto.Message
}

// factOf returns what a message says about an invitation; it may say nothing.
func factOf(in pipeline.In) (fact, bool) {
	switch body := in.Body.(type) {
	case *schemas.Invitation:
		return fact{
			invitation: body.GetId(), field: hex.EncodeToString(schemas.ContentDigest(body)), body: body,
		}, in.Topic == schemas.TopicInvitations
	case *schemas.Certificate:
		return fact{
			invitation: body.GetTerms().GetInvitationId(), must: true, body: body,
			field: field(body.GetId(), hex.EncodeToString(schemas.TermsDigest(body.GetTerms())),
				body.GetIssuingAccount()),
		}, in.Topic == schemas.TopicCertificates
	case *schemas.Refusal:
		return fact{
			invitation: body.GetInvitationId(), body: body,
			field: field(hex.EncodeToString(body.GetContentDigest()), body.GetReason().Word()),
		}, in.Topic == schemas.TopicRefusals
	case *schemas.PreIssue:
		return factOfPreIssue(body)
	case *schemas.Entry:
		return factOfEntry(body)
	}
	return fact{}, false
}

// factOfPreIssue keeps an answer of the pre-issues book. What it says of the book's own state is left out,
// and so are repeats: nothing has happened.
func factOfPreIssue(x *schemas.PreIssue) (fact, bool) {
	terms, d := x.GetRequest().GetTerms(), x.GetDecision()
	if terms == nil || d.GetOutcome() == schemas.Outcome_OUTCOME_REPEAT {
		return fact{}, false
	}
	return fact{
		invitation: terms.GetInvitationId(),
		field:      field(x.GetId(), hex.EncodeToString(schemas.TermsDigest(terms)), outcome(d)),
		must:       d.GetOutcome() == schemas.Outcome_OUTCOME_DONE,
		body:       &schemas.PreIssue{Decision: decision(d), Id: x.GetId(), Request: x.GetRequest()},
	}, true
}

// factOfEntry keeps an answer of the accounts book to a vouch for an invitation, or to a hold for a request.
func factOfEntry(x *schemas.Entry) (fact, bool) {
	m, d := x.GetMovement(), x.GetDecision()
	invitation, content, ok := subject(m)
	if !ok || d.GetOutcome() == schemas.Outcome_OUTCOME_REPEAT {
		return fact{}, false
	}
	return fact{
		invitation: invitation,
		field:      field(x.GetId(), m.GetAccount(), content, outcome(d)),
		must:       d.GetOutcome() == schemas.Outcome_OUTCOME_DONE,
		body:       &schemas.Entry{Decision: decision(d), Id: x.GetId(), Movement: m},
	}, true
}

// subject returns the invitation that a movement is about, and the digest of what is said of it.
func subject(m *schemas.Movement) (invitation, content string, ok bool) {
	x, request := &schemas.Invitation{}, &schemas.IssuanceRequest{}
	switch ref := m.GetReference(); {
	case m.GetVouch() != nil && ref.MessageIs(x) && ref.UnmarshalTo(x) == nil:
		return x.GetId(), hex.EncodeToString(schemas.ContentDigest(x)), schemas.Validate(x) == nil
	case m.GetHold() != nil && ref.MessageIs(request) && ref.UnmarshalTo(request) == nil:
		terms := request.GetTerms()
		return terms.GetInvitationId(), hex.EncodeToString(schemas.TermsDigest(terms)),
			schemas.Validate(request) == nil
	}
	return "", "", false
}

func decision(d *schemas.Decision) *schemas.Decision {
	return &schemas.Decision{Offset: d.GetOffset(), Outcome: d.GetOutcome(), Reason: d.GetReason()}
}

func outcome(d *schemas.Decision) string {
	return strconv.Itoa(int(d.GetOutcome())) + " " + strconv.Itoa(int(d.GetReason()))
}

func field(parts ...string) string { return strings.Join(parts, " ") }

// encode writes the fact: OFFSET TIME ID on a line, then the body. Topic and partition stand in the key.
func (f fact) encode(in pipeline.In) ([]byte, error) {
	head := fmt.Appendf(nil, "%d %s %s\n", in.Offset, in.Time.UTC().Format(time.RFC3339Nano), in.ID)
	value, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(head, f.body)
	if err != nil {
		return nil, fmt.Errorf("write fact: %w", err)
	}
	return value, nil
}

func decodeFact(topic string, partition int, value []byte) (Fact, error) {
	head, body, ok := bytes.Cut(value, []byte("\n"))
	words := strings.Split(string(head), " ")
	if !ok || len(words) != 3 {
		return Fact{}, errors.New("read fact: its first line is no OFFSET TIME ID")
	}
	f := Fact{Topic: topic, Partition: partition, ID: words[2], Body: newBody(topic)}
	var errs [3]error
	f.Offset, errs[0] = strconv.ParseInt(words[0], 10, 64)
	f.Time, errs[1] = time.Parse(time.RFC3339Nano, words[1])
	errs[2] = proto.Unmarshal(body, f.Body)
	if err := errors.Join(errs[:]...); err != nil {
		return Fact{}, fmt.Errorf("read fact: %w", err)
	}
	return f, nil
}

func newBody(topic string) proto.Message {
	switch topic {
	case schemas.TopicInvitations:
		return &schemas.Invitation{}
	case schemas.TopicPreIssues:
		return &schemas.PreIssue{}
	case schemas.TopicCertificates:
		return &schemas.Certificate{}
	case schemas.TopicRefusals:
		return &schemas.Refusal{}
	}
	return &schemas.Entry{}
}
