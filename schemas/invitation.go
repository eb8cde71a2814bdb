package schemas

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// InvitationFaults reports everything that is wrong with an invitation, what Validate asks and what makes
// sense. Decode asks only the former, without which nobody could be answered; the stage invitation asks this,
// and refuses it with a message.
func InvitationFaults(x *Invitation) []FaultError {
	var found []FaultError
	c := check{found: &found}
	if x == nil {
		c.fault("invitation", "is missing")
		return found
	}
	x.faults(c)
	c.bank("receiving_bank", x.GetReceivingBank())
	c.accountOf("receiving_account", x.GetReceivingAccount(), "receiving_bank", x.GetReceivingBank())
	if x.GetId() != InvitationID(x.GetReceivingBank(), x.GetSeller(), x.GetReference()) {
		c.fault("id", "is not the one derived from receiving_bank, seller and reference; derive it")
	}
	c.set("funding", x.GetFunding())
	c.set("route", x.GetRoute())
	c.set("account_source", x.GetAccountSource())
	x.GetIssuing().faults(c, x.GetAccountSource())
	c.deadlines("deadlines", x.GetDeadlines())
	if x.GetDirectoryVersion() == 0 {
		c.fault("directory_version", "is missing; give the version with which the issuing bank is resolved")
	}
	return found
}

// faults are those of an invitation that cannot even be refused.
func (x *Invitation) faults(c check) {
	c.id("id", x.GetId())
	c.utf8("receiving_bank", x.GetReceivingBank())
	c.utf8("receiving_account", x.GetReceivingAccount())
	c.text("seller", x.GetSeller())
	c.text("reference", x.GetReference())
	c.text("buyer", x.GetBuyer())
	c.money("amount", x.GetAmount(), 1)
	c.utf8("issuing.bank", x.GetIssuing().GetBank())
	c.utf8("issuing.account", x.GetIssuing().GetAccount())
	c.utf8("issuing.contact", x.GetIssuing().GetContact())
	c.known("funding", x.GetFunding())
	c.known("route", x.GetRoute())
	c.known("account_source", x.GetAccountSource())
}

func (x *IssuingInformation) faults(c check, source AccountSource) {
	if x.GetKind() == nil {
		c.fault("issuing", "is missing; give one of bank, account, contact")
		return
	}
	in := c.in("issuing")
	switch kind := x.GetKind().(type) {
	case *IssuingInformation_Bank:
		in.bank("bank", kind.Bank)
	case *IssuingInformation_Account:
		in.account("account", kind.Account)
	case *IssuingInformation_Contact:
		in.between("contact", kind.Contact, 1, ContactMax)
	}
	if _, ok := x.GetKind().(*IssuingInformation_Account); !ok &&
		source == AccountSource_ACCOUNT_SOURCE_CONFIRMED {
		c.fault("issuing", "has no account, which account_source CONFIRMED needs; give it")
	}
}

// deadlines checks the seller's deadlines: each is optional, and none lies before the one it follows.
func (c check) deadlines(field string, x *Deadlines) {
	c = c.in(field)
	all := []struct {
		field string
		at    *timestamppb.Timestamp
	}{{"accept_by", x.GetAcceptBy()}, {"present_by", x.GetPresentBy()}, {"settle_by", x.GetSettleBy()}}
	var before string
	var bound time.Time
	for _, d := range all {
		switch {
		case d.at == nil:
			continue
		case !d.at.IsValid() || !inTime(d.at.AsTime()):
			c.fault(d.field, "is no time between 1970 and 9999")
			continue
		case before != "" && d.at.AsTime().Before(bound):
			c.fault(d.field, "lies before %s, must not", before)
		}
		before, bound = d.field, d.at.AsTime()
	}
}
