package certificate

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// bodyOf is the body of the message as its topic has it. Another one panics: the runner makes a dead letter
// of it.
func bodyOf[T proto.Message](in pipeline.In) T {
	body, ok := in.Body.(T)
	if !ok {
		panic(fmt.Sprintf("topic %s holds a %T", in.Topic, in.Body))
	}
	return body
}

// pack makes a movement's reference: of equal messages equal bytes.
func pack(m proto.Message) *anypb.Any {
	value, err := schemas.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("a message that was read cannot be written: %v", err))
	}
	return &anypb.Any{TypeUrl: typeURLs + string(m.ProtoReflect().Descriptor().FullName()), Value: value}
}

// typeURLs begins what says of which type a reference is, as Protobuf's own libraries write it.
const typeURLs = "type.googleapis.com/"

// refersTo says whether the entry's movement carries such a reference, and so whose business it is.
func refersTo(entry *schemas.Entry, m proto.Message) bool {
	return entry.GetMovement().GetReference().MessageIs(m)
}

// answers says of an entry's record whether it may answer a movement of this verb that quotes such a message.
func answers(verb protowire.Number, quoted proto.Message) func(pipeline.Record) bool {
	name := string(quoted.ProtoReflect().Descriptor().FullName())
	return func(r pipeline.Record) bool {
		g, ok := schemas.GlanceItem(r.Value)
		return !ok || g.Verb == verb && g.Reference == name
	}
}

// unpack reads the reference. The accounts book did not look inside: it may be anything.
func unpack(entry *schemas.Entry, m proto.Message) error {
	if err := schemas.Unmarshal(entry.GetMovement().GetReference().GetValue(), m); err != nil {
		return fmt.Errorf("read reference: %w", err)
	}
	if err := schemas.Validate(m); err != nil {
		return fmt.Errorf("read reference: %w", err)
	}
	return nil
}

// corresponds says whether the entry answers the movement that follows from its own reference.
func corresponds(entry *schemas.Entry, id string, movement *schemas.Movement) error {
	if askedOf(entry.GetId(), entry.GetMovement()) != askedOf(id, movement) {
		return errors.New("the movement is not the one that follows from its reference")
	}
	return nil
}

// asked is what a movement asks for. Fields that a newer version has added are not this version's to compare.
type asked struct {
	id, account, content string
	holder, currency     string // of a vouch
	debtor, unit         string // of a hold, as what follows
	minorUnits           int64
	kind                 schemas.AccountKind
}

func askedOf(id string, m *schemas.Movement) asked {
	v, h := m.GetVouch(), m.GetHold()
	return asked{
		id: id, account: m.GetAccount(), content: string(m.GetContent()),
		holder: v.GetHolder(), currency: v.GetCurrency(),
		debtor: h.GetHolder(), unit: h.GetAmount().GetCurrency(), minorUnits: h.GetAmount().GetMinorUnits(),
		kind: h.GetKind(),
	}
}

// agreed says whether the request is what its terms allow: the pre-issues book lets no other one pass, and a
// certificate must not depend on it.
func agreed(request *schemas.IssuanceRequest) error {
	terms, r := request.GetTerms(), request.GetRequest()
	bank, _ := schemas.BankOf(r.GetAccount())
	switch {
	case r == nil:
		return errors.New("it is no request")
	case r.GetBuyer() != terms.GetBuyer():
		return errors.New("the request is not the buyer's")
	case bank != terms.GetIssuingBank():
		return errors.New("the request's account is not kept by the issuing bank")
	case terms.GetIssuingAccount() != "" && terms.GetIssuingAccount() != r.GetAccount():
		return errors.New("the request's account is not the pre-filled one")
	}
	return nil
}

// bury makes a dead letter of a command that was decided and that nobody can follow: only somebody who writes
// to a book without being a stage gets here, and then an operator must see it.
func bury(in pipeline.In, d *schemas.Decision, topic string, m schemas.Message, why error) []pipeline.Out {
	m.Source, m.Time = in.Source, in.Time
	command, err := pipeline.Encode(topic, m)
	if err != nil {
		panic(fmt.Sprintf("a command that was read cannot be written: %v", err))
	}
	original := pipeline.UnreadableOf(command, why.Error())
	return []pipeline.Out{pipeline.Letter(topic, in.Partition, d.GetOffset(), original)}
}

func buryMovement(in pipeline.In, entry *schemas.Entry, why error) []pipeline.Out {
	m := schemas.Message{Attributes: schemas.Attributes{ID: entry.GetId()}, Body: entry.GetMovement()}
	return bury(in, entry.GetDecision(), schemas.TopicMovements, m, why)
}

func buryRequest(in pipeline.In, item *schemas.PreIssue, why error) []pipeline.Out {
	m := schemas.Message{Attributes: schemas.Attributes{ID: item.GetId()}, Body: item.GetRequest()}
	return bury(in, item.GetDecision(), schemas.TopicIssuanceRequests, m, why)
}
