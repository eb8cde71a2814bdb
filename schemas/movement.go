package schemas

import (
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
)

const (
	contentMax = 256 // bytes: a digest and an account fit
	typeURLMax = 256 // bytes
)

func (x *Movement) faults(c check) {
	if len(x.GetContent()) > contentMax {
		c.fault("content", "has %d bytes, must have at most %d: give a digest", len(x.GetContent()),
			contentMax)
	}
	if n := len(x.GetReference().GetTypeUrl()); n > typeURLMax {
		c.fault("reference.type_url", "has %d bytes, must have at most %d", n, typeURLMax)
	}
	c.utf8("reference.type_url", x.GetReference().GetTypeUrl())
	if tick := x.GetTick(); tick != nil {
		if x.GetAccount() != "" {
			c.fault("account", "%s, must be empty: a tick is the shard's", sized(x.GetAccount()))
		}
		tick.faults(c.in("tick"))
		return
	}
	c.account("account", x.GetAccount())
	switch verb := x.GetVerb().(type) {
	case *Movement_Open:
		verb.Open.faults(c.in("open"))
	case *Movement_Credit:
		c.in("credit").contra(verb.Credit.GetAmount(), verb.Credit.GetContra())
	case *Movement_Debit:
		c.in("debit").contra(verb.Debit.GetAmount(), verb.Debit.GetContra())
	case *Movement_Vouch:
		c.in("vouch").text("holder", verb.Vouch.GetHolder())
		c.in("vouch").currency("currency", verb.Vouch.GetCurrency())
	case *Movement_Hold:
		c.in("hold").money("amount", verb.Hold.GetAmount(), 1)
		c.in("hold").text("holder", verb.Hold.GetHolder())
		c.in("hold").partysKind("kind", verb.Hold.GetKind())
	case *Movement_Capture:
		c.in("capture").id("hold", verb.Capture.GetHold())
		c.in("capture").money("amount", verb.Capture.GetAmount(), 1)
	case *Movement_Release:
		c.in("release").id("hold", verb.Release.GetHold())
	case *Movement_Block, *Movement_Unblock:
	default:
		c.fault("verb", "is not set; give one of %s", verbs(x.ProtoReflect().Descriptor()))
	}
}

func (x *Open) faults(c check) {
	c.partysKind("kind", x.GetKind())
	c.text("holder", x.GetHolder())
	c.money("funds", x.GetFunds(), 0)
}

func (x *Tick) faults(c check) {
	if r := x.GetRetention(); !r.IsValid() || r.AsDuration() < time.Millisecond {
		c.fault("retention", "is %s, must be at least 1ms", r.AsDuration())
	}
}

func (c check) contra(amount *Money, contra Contra) {
	c.money("amount", amount, 1)
	c.enum("contra", contra)
}

// partysKind checks the kind of an account that a party can hold.
func (c check) partysKind(field string, kind AccountKind) {
	c.enum(field, kind)
	if kind == AccountKind_ACCOUNT_KIND_INTERNAL {
		c.fault(field, "is INTERNAL, must be DEPOSIT or CREDIT: internal accounts are the book's own")
	}
}

// verbs names what a command can ask for.
func verbs(d protoreflect.MessageDescriptor) string {
	fields := d.Oneofs().ByName("verb").Fields()
	names := make([]string, fields.Len())
	for i := range names {
		names[i] = string(fields.Get(i).Name())
	}
	return strings.Join(names, ", ")
}
