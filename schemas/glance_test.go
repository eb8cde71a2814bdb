package schemas_test

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/aval-systems/aval/schemas"
)

// What a glance says of an item is what reading it says.
func TestGlanceItem(t *testing.T) {
	t.Parallel()
	glanced := 0
	for name, body := range examples() {
		item, ok := body.(interface {
			proto.Message
			GetDecision() *schemas.Decision
		})
		if !ok {
			continue
		}
		value, err := proto.MarshalOptions{Deterministic: true}.Marshal(item)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := schemas.GlanceItem(value)
		if !ok {
			t.Errorf("%s: GlanceItem says no of what Encode writes", name)
		}
		if want := glanceOf(item, item.GetDecision()); got != want {
			t.Errorf("%s: GlanceItem = %+v, want %+v", name, got, want)
		}
		glanced++
	}
	if glanced < 4 {
		t.Errorf("%d examples are items, want more", glanced)
	}
}

func TestGlanceNotice(t *testing.T) {
	t.Parallel()
	n := notice()
	for name, then := range map[string][]*schemas.Recipient{
		"goes on": {{Role: schemas.Role_ROLE_SELLER, Id: seller}}, "ends": nil,
	} {
		n.Then = then
		headers, value, err := schemas.Encode(message(n))
		if err != nil {
			t.Fatal(err)
		}
		key := []byte(schemas.KeyOf(n))
		if goesOn, ok := schemas.GlanceNotice(headers, key, value); !ok || goesOn != (then != nil) {
			t.Errorf("%s: GlanceNotice = %t, %t", name, goesOn, ok)
		}
		if _, ok := schemas.GlanceNotice(headers, key, value[:len(value)-1]); ok {
			t.Errorf("%s: GlanceNotice knows a notice that is cut off", name)
		}
		if _, ok := schemas.GlanceNotice(headers, []byte("x"), value); ok {
			t.Errorf("%s: GlanceNotice knows a notice to somebody else", name)
		}
		if _, ok := schemas.GlanceNotice(headers[:2], key, value); ok {
			t.Errorf("%s: GlanceNotice knows what no header calls a notice", name)
		}
	}
}

func TestVerbs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		command proto.Message
		verb    protoreflect.Name
		number  protoreflect.FieldNumber
	}{
		{&schemas.Movement{}, "vouch", schemas.VerbVouch},
		{&schemas.Movement{}, "hold", schemas.VerbHold},
		{&schemas.IssuanceRequest{}, "request", schemas.VerbRequest},
	} {
		if got := test.command.ProtoReflect().Descriptor().Fields().ByName(test.verb).Number(); got != test.number {
			t.Errorf("verb %s has number %d, the constant says %d", test.verb, got, test.number)
		}
	}
}

func glanceOf(item proto.Message, d *schemas.Decision) schemas.Glance {
	g := schemas.Glance{Outcome: d.GetOutcome()}
	var command proto.Message = &schemas.Movement{}
	if entry, ok := item.(*schemas.Entry); ok {
		if m := entry.GetMovement(); m != nil {
			command = m
			g.Reference = schemas.NameOf(m.GetReference().GetTypeUrl())
		}
	} else if x, ok := item.(*schemas.PreIssue); ok && x.GetRequest() != nil {
		command = x.GetRequest()
	}
	command.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		if f.ContainingOneof() != nil {
			g.Verb = f.Number()
		}
		return true
	})
	return g
}

// Of what is not as the books write it a glance says nothing: it has to be read.
func TestGlanceItemSaysNo(t *testing.T) {
	t.Parallel()
	entry := &schemas.Entry{
		Decision: &schemas.Decision{Outcome: schemas.Outcome_OUTCOME_DONE}, Id: "m1",
		Movement: &schemas.Movement{
			Account: "AVALBRSP/1", Reference: &anypb.Any{TypeUrl: "type.googleapis.com/aval.v1.Invitation"},
			Verb: &schemas.Movement_Block{Block: &schemas.Block{}},
		},
	}
	marshal := func(m proto.Message) []byte {
		value, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	whole := marshal(entry)
	twoVerbs := proto.CloneOf(entry)
	twoVerbs.Movement.ProtoReflect().SetUnknown(marshal(&schemas.Movement{
		Verb: &schemas.Movement_Unblock{Unblock: &schemas.Unblock{}},
	}))
	for name, value := range map[string][]byte{
		"nothing":             nil,
		"cut off":             whole[:len(whole)-3],
		"a decision twice":    append(marshal(&schemas.Entry{Decision: entry.GetDecision()}), whole...),
		"a movement twice":    append(marshal(&schemas.Entry{Movement: entry.GetMovement()}), whole...),
		"two verbs":           marshal(twoVerbs),
		"no decision":         marshal(&schemas.Entry{Movement: entry.GetMovement()}),
		"a group":             append([]byte{0x23, 0x24}, whole...),
		"an impossible field": append([]byte{0x00, 0x00}, whole...),
	} {
		if g, ok := schemas.GlanceItem(value); ok {
			t.Errorf("%s: GlanceItem = %+v, want no", name, g)
		}
	}
}

// A glance at any bytes ends, and never contradicts the reading of them.
func FuzzGlanceItem(f *testing.F) {
	for _, body := range examples() {
		if value, err := proto.Marshal(body); err == nil {
			f.Add(value)
		}
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		g, ok := schemas.GlanceItem(value)
		entry := &schemas.Entry{}
		if !ok || proto.Unmarshal(value, entry) != nil {
			return
		}
		if want := glanceOf(entry, entry.GetDecision()); g != want {
			t.Errorf("GlanceItem = %+v, reading says %+v", g, want)
		}
	})
}
