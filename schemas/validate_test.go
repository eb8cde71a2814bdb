package schemas_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aval-systems/aval/schemas"
)

func TestExamplesAreValid(t *testing.T) {
	t.Parallel()
	for name, m := range examples() {
		if err := schemas.Validate(m); err != nil {
			t.Errorf("Validate(%s): %v", name, err)
		}
		if i, ok := m.(*schemas.Invitation); ok && len(schemas.InvitationFaults(i)) > 0 {
			t.Errorf("InvitationFaults(%s) = %v", name, schemas.InvitationFaults(i))
		}
	}
}

// row breaks a message: fields are those of its faults, sorted.
type row[M proto.Message] struct {
	breaks func(M)
	fields string
}

// table checks each row on a message of its own.
func table[M proto.Message](t *testing.T, fresh func() M, faults func(M) error, rows map[string]row[M]) {
	t.Helper()
	for name, r := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := fresh()
			r.breaks(m)
			before := proto.Clone(m)
			err := faults(m)
			if got := fields(err); got != r.fields {
				t.Errorf("faults of %q, want %q: %v", got, r.fields, err)
			}
			if !proto.Equal(before, m) {
				t.Errorf("it changed %v into %v", before, m)
			}
		})
	}
}

func validate[M proto.Message](m M) error { return schemas.Validate(m) }

func TestInvitation(t *testing.T) {
	t.Parallel()
	table(t, confirmed, validate[*schemas.Invitation], map[string]row[*schemas.Invitation]{
		"empty":   {func(x *schemas.Invitation) { proto.Reset(x) }, "amount buyer id reference seller"},
		"long id": {func(x *schemas.Invitation) { x.Id = strings.Repeat("1", 65) }, "id"},
		"texts of 16 KiB": {func(x *schemas.Invitation) {
			x.Seller, x.Buyer, x.Reference = long(16384), long(16384), long(16384)
		}, ""},
		"texts of more": {func(x *schemas.Invitation) {
			x.Seller, x.Buyer, x.Reference = long(16385), long(16385), long(16385)
		}, "buyer reference seller"},
		"texts of spaces, quotes, newlines, zeros": {func(x *schemas.Invitation) {
			x.Seller, x.Buyer, x.Reference = " ", "\"'\r\n\t", "\x00\x1f"
		}, ""},
		"text that is not UTF-8": {func(x *schemas.Invitation) { x.Buyer = "\xff" }, "buyer"},
		"no amount":              {func(x *schemas.Invitation) { x.Amount = nil }, "amount"},
		"amount of zero": {
			func(x *schemas.Invitation) { x.Amount.MinorUnits = 0 }, "amount.minor_units",
		},
		"amount below zero": {
			func(x *schemas.Invitation) { x.Amount.MinorUnits = -1 }, "amount.minor_units",
		},
		"the largest amount": {func(x *schemas.Invitation) { x.Amount.MinorUnits = 1<<53 - 1 }, ""},
		"too large an amount": {
			func(x *schemas.Invitation) { x.Amount.MinorUnits = 1 << 53 }, "amount.minor_units",
		},
		"unknown currency": {
			func(x *schemas.Invitation) { x.Amount.Currency = "XAU" }, "amount.currency",
		},
		"unknown enums": {func(x *schemas.Invitation) {
			x.Funding, x.Route, x.AccountSource = 9, -1, 3
		}, "account_source funding route"},
		"what a refusal can answer": {func(x *schemas.Invitation) {
			x.ReceivingBank, x.ReceivingAccount, x.Issuing, x.Deadlines, x.DirectoryVersion = "", "?", nil,
				nil, 0
			x.Funding, x.Route, x.AccountSource = 0, 0, 0
		}, ""},
	})
}

func long(n int) string { return strings.Repeat("x", n) }

func TestInvitationFaults(t *testing.T) {
	t.Parallel()
	faults := func(x *schemas.Invitation) error {
		var errs []error
		for _, f := range schemas.InvitationFaults(x) {
			errs = append(errs, f)
		}
		return errors.Join(errs...)
	}
	at := func(seconds int64) *timestamppb.Timestamp { return &timestamppb.Timestamp{Seconds: seconds} }
	table(t, confirmed, faults, map[string]row[*schemas.Invitation]{
		"nothing wrong": {func(*schemas.Invitation) {}, ""},
		"empty": {
			func(x *schemas.Invitation) { proto.Reset(x) },
			"account_source amount buyer directory_version funding id " +
				"id issuing receiving_account receiving_bank reference route seller",
		},
		"another id": {func(x *schemas.Invitation) { x.Id = "i1" }, "id"},
		"another's bank": {
			func(x *schemas.Invitation) { x.ReceivingAccount = issuingBank + "/1" }, "receiving_account",
		},
		"account unset": {func(x *schemas.Invitation) { x.ReceivingAccount = "" }, "receiving_account"},
		"no number": {
			func(x *schemas.Invitation) { x.ReceivingAccount = receivingBank }, "receiving_account",
		},
		"enums unset": {
			func(x *schemas.Invitation) { x.Funding, x.Route, x.AccountSource = 0, 0, 0 },
			"account_source funding route",
		},
		"no issuing":      {func(x *schemas.Invitation) { x.Issuing = nil }, "issuing"},
		"issuing of none": {func(x *schemas.Invitation) { x.Issuing.Kind = nil }, "issuing"},
		"odd account": {
			func(x *schemas.Invitation) { x.Issuing = issuingAccount("1") }, "issuing.account",
		},
		"no deadlines": {func(x *schemas.Invitation) { x.Deadlines = nil }, ""},
		"odd bank": {
			func(x *schemas.Invitation) { issuingOther(x, &schemas.IssuingInformation_Bank{Bank: "QUAY"}) },
			"issuing.bank",
		},
		"empty contact": {
			func(x *schemas.Invitation) { issuingOther(x, &schemas.IssuingInformation_Contact{}) },
			"issuing.contact",
		},
		"contact of 256": {
			func(x *schemas.Invitation) {
				issuingOther(x,
					&schemas.IssuingInformation_Contact{Contact: long(256)})
			}, "",
		},
		"contact of 257": {
			func(x *schemas.Invitation) {
				issuingOther(x,
					&schemas.IssuingInformation_Contact{Contact: long(257)})
			}, "issuing.contact",
		},
		"confirmed bank": {func(x *schemas.Invitation) {
			x.Issuing.Kind = &schemas.IssuingInformation_Bank{Bank: issuingBank}
		}, "issuing"},
		"entered, with an account": {func(x *schemas.Invitation) {
			x.AccountSource = schemas.AccountSource_ACCOUNT_SOURCE_ENTERED
		}, ""},
		"no version": {func(x *schemas.Invitation) { x.DirectoryVersion = 0 }, "directory_version"},
		"deadlines in disorder": {func(x *schemas.Invitation) {
			x.Deadlines = &schemas.Deadlines{AcceptBy: at(3), PresentBy: at(2), SettleBy: at(1)}
		}, "deadlines.present_by deadlines.settle_by"},
		"one deadline less": {func(x *schemas.Invitation) {
			x.Deadlines = &schemas.Deadlines{AcceptBy: at(3), SettleBy: at(1)}
		}, "deadlines.settle_by"},
		"equal deadlines": {func(x *schemas.Invitation) {
			x.Deadlines = &schemas.Deadlines{AcceptBy: at(3), PresentBy: at(3), SettleBy: at(3)}
		}, ""},
		"deadlines that are no times": {func(x *schemas.Invitation) {
			x.Deadlines = &schemas.Deadlines{
				AcceptBy: &timestamppb.Timestamp{Nanos: -1}, PresentBy: at(-1), SettleBy: at(1 << 62),
			}
		}, "deadlines.accept_by deadlines.present_by deadlines.settle_by"},
	})
	if got := schemas.InvitationFaults(nil); len(got) != 1 {
		t.Errorf("InvitationFaults(nil) = %v", got)
	}
}

func issuingAccount(account string) *schemas.IssuingInformation {
	return &schemas.IssuingInformation{Kind: &schemas.IssuingInformation_Account{Account: account}}
}

// issuingOther sets what an account that is entered may be found by: a bank or a contact.
func issuingOther(x *schemas.Invitation, kind any) {
	x.AccountSource = schemas.AccountSource_ACCOUNT_SOURCE_ENTERED
	switch k := kind.(type) {
	case *schemas.IssuingInformation_Bank:
		x.Issuing.Kind = k
	case *schemas.IssuingInformation_Contact:
		x.Issuing.Kind = k
	}
}

func TestTerms(t *testing.T) {
	t.Parallel()
	table(t, terms, validate[*schemas.Terms], map[string]row[*schemas.Terms]{
		"nothing wrong": {func(*schemas.Terms) {}, ""},
		"empty": {
			func(x *schemas.Terms) { proto.Reset(x) },
			"account_source amount buyer content_digest directory_version funding invitation_id " +
				"issuing_bank key_id receiving_account receiving_bank reference route seller",
		},
		"short digest": {func(x *schemas.Terms) { x.ContentDigest = digest(1)[1:] }, "content_digest"},
		"long digest": {
			func(x *schemas.Terms) { x.ContentDigest = append(digest(1), 1) }, "content_digest",
		},
		"another's bank": {func(x *schemas.Terms) { x.ReceivingBank = issuingBank }, "receiving_account"},
		"another issuing bank": {
			func(x *schemas.Terms) { x.IssuingBank = receivingBank }, "issuing_account",
		},
		"confirmed without account": {func(x *schemas.Terms) { x.IssuingAccount = "" }, "issuing_account"},
		"entered with account": {func(x *schemas.Terms) {
			x.AccountSource = schemas.AccountSource_ACCOUNT_SOURCE_ENTERED
		}, "issuing_account"},
		"entered": {func(x *schemas.Terms) {
			x.AccountSource, x.IssuingAccount = schemas.AccountSource_ACCOUNT_SOURCE_ENTERED, ""
		}, ""},
		"odd key": {func(x *schemas.Terms) { x.KeyId = "a/b" }, "key_id"},
	})
}

func TestMovement(t *testing.T) {
	t.Parallel()
	verb := func(name string) func() *schemas.Movement {
		return func() *schemas.Movement { return movements()[name] }
	}
	type rows = map[string]row[*schemas.Movement]
	for name, r := range map[string]rows{
		"block": {
			"no account":   {func(x *schemas.Movement) { x.Account = "" }, "account"},
			"no verb":      {func(x *schemas.Movement) { x.Verb = nil }, "verb"},
			"empty":        {func(x *schemas.Movement) { proto.Reset(x) }, "account verb"},
			"internal":     {func(x *schemas.Movement) { x.Account = "genesis/BRL" }, "account"},
			"long content": {func(x *schemas.Movement) { x.Content = make([]byte, 257) }, "content"},
			"no reference": {func(x *schemas.Movement) { x.Reference, x.Content = nil, nil }, ""},
			"long reference": {
				func(x *schemas.Movement) { x.Reference.TypeUrl = long(257) }, "reference.type_url",
			},
		},
		"open": {
			"empty": {
				func(x *schemas.Movement) { proto.Reset(x.GetOpen()) }, "open.funds open.holder open.kind",
			},
			"nil": {
				func(x *schemas.Movement) { x.Verb = &schemas.Movement_Open{} },
				"open.funds open.holder open.kind",
			},
			"internal": {func(x *schemas.Movement) { x.GetOpen().Kind = 3 }, "open.kind"},
			"unknown":  {func(x *schemas.Movement) { x.GetOpen().Kind = 4 }, "open.kind"},
			"of a debt": {
				func(x *schemas.Movement) { x.GetOpen().Funds.MinorUnits = -1 }, "open.funds.minor_units",
			},
		},
		"credit": {
			"empty": {
				func(x *schemas.Movement) { proto.Reset(x.GetCredit()) },
				"credit.amount credit.contra",
			},
		},
		"debit": {
			"empty": {func(x *schemas.Movement) { proto.Reset(x.GetDebit()) }, "debit.amount debit.contra"},
			"of zero": {
				func(x *schemas.Movement) { x.GetDebit().Amount.MinorUnits = 0 }, "debit.amount.minor_units",
			},
		},
		"vouch": {
			"empty": {func(x *schemas.Movement) { proto.Reset(x.GetVouch()) }, "vouch.currency vouch.holder"},
		},
		"hold": {
			"empty": {
				func(x *schemas.Movement) { proto.Reset(x.GetHold()) }, "hold.amount hold.holder hold.kind",
			},
			"of zero": {
				func(x *schemas.Movement) { x.GetHold().Amount.MinorUnits = 0 }, "hold.amount.minor_units",
			},
			"internal": {func(x *schemas.Movement) { x.GetHold().Kind = 3 }, "hold.kind"},
		},
		"capture": {
			"empty": {
				func(x *schemas.Movement) { proto.Reset(x.GetCapture()) },
				"capture.amount capture.hold",
			},
		},
		"release": {"empty": {func(x *schemas.Movement) { proto.Reset(x.GetRelease()) }, "release.hold"}},
		"tick": {
			"account":      {func(x *schemas.Movement) { x.Account = receivingBank + "/1" }, "account"},
			"no retention": {func(x *schemas.Movement) { x.GetTick().Retention = nil }, "tick.retention"},
			"retention of 0": {
				func(x *schemas.Movement) { x.GetTick().Retention = durationpb.New(0) }, "tick.retention",
			},
			"below zero": {
				func(x *schemas.Movement) { x.GetTick().Retention = durationpb.New(-1e9) }, "tick.retention",
			},
			"less than 1 ms": {
				func(x *schemas.Movement) { x.GetTick().Retention = durationpb.New(1e6 - 1) },
				"tick.retention",
			},
			"1 ms": {func(x *schemas.Movement) { x.GetTick().Retention = durationpb.New(1e6) }, ""},
			"no duration": {
				func(x *schemas.Movement) { x.GetTick().Retention.Nanos = 1e9 }, "tick.retention",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table(t, verb(name), validate[*schemas.Movement], r)
		})
	}
}

func TestEnumsMustBeKnown(t *testing.T) {
	t.Parallel()
	for name, m := range examples() {
		visitEnums(m.ProtoReflect(), "", func(field string, unknown func() (restore func())) {
			restore := unknown()
			defer restore()
			if got := fields(schemas.Validate(m)); !strings.Contains(got, field) {
				t.Errorf("%s with %s of 99 has faults of %q", name, field, got)
			}
		})
	}
}

func visitEnums(m protoreflect.Message, path string, see func(string, func() func())) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Enum() != nil:
			see(path+string(f.Name()), func() func() {
				m.Set(f, protoreflect.ValueOfEnum(99))
				return func() { m.Set(f, v) }
			})
		case f.IsList() && f.Message() != nil:
			for i := range v.List().Len() {
				visitEnums(v.List().Get(i).Message(), fmt.Sprintf("%s%s[%d].", path, f.Name(), i), see)
			}
		case f.Message() != nil:
			visitEnums(v.Message(), path+string(f.Name())+".", see)
		}
		return true
	})
}

func TestFaultsAreShort(t *testing.T) {
	t.Parallel()
	x := confirmed()
	x.Seller, x.Buyer, x.Id, x.Amount.Currency = long(50000), "\xff"+long(900), long(70), long(9000)
	err := schemas.Validate(x)
	if got := fields(err); got != "amount.currency buyer id seller" {
		t.Errorf("faults of %q", got)
	}
	for _, f := range schemas.FaultsOf(err) {
		if strings.Contains(f.Problem, "xxxx") || len(f.Error()) > 250 {
			t.Errorf("%v repeats what is wrong", f)
		}
	}
	const want = `seller has 50000 bytes, must have 1 to 16384`
	if !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q in it", err, want)
	}
}

func TestFaultsOf(t *testing.T) {
	t.Parallel()
	one := schemas.FaultError{Field: "a", Problem: "is b"}
	joined := errors.Join(one, errors.New("else"), errors.Join(one))
	if got := schemas.FaultsOf(fmt.Errorf("read line 1: %w", joined)); len(got) != 2 || got[0] != one ||
		got[1] != one {
		t.Errorf("FaultsOf = %v", got)
	}
	if got := schemas.FaultsOf(nil); got != nil {
		t.Errorf("FaultsOf(nil) = %v", got)
	}
	if err := schemas.Validate(nil); fields(err) != "message" {
		t.Errorf("Validate(nil) = %v", err)
	}
	if err := schemas.Validate(&schemas.Offer{}); fields(err) != "message" {
		t.Errorf("Validate(Offer) = %v", err)
	}
}

func TestShorten(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "abcd": "abcd", "abcde": "abcd", "abcé": "abc",
		"a\xff\xffb": "a\uFFFD",
	} {
		if got := schemas.Shorten(text, 4); got != want {
			t.Errorf("Shorten(%q, 4) = %q, want %q", text, got, want)
		}
	}
}
