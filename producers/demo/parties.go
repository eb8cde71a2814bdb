package demo

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/producers/batch"
	"github.com/aval-systems/aval/schemas"
)

// The two banks of the demo.
const (
	ReceivingBank = "AVALBRSPRCV"
	IssuingBank   = "AVALBRSPISS"

	issuingDomain   = "@issuing-bank.example"
	receivingDomain = "@receiving-bank.example"
)

// Directory is the directory of participants that the demo needs: its two banks with their public keys, the
// last of which signs. Keys of the directory before stay, so that what they signed stays verifiable, and so
// do other banks and those who are told by webhook; it may be nil.
func Directory(before *schemas.Directory, keys map[string][]*schemas.PublicKey) *schemas.Directory {
	participant := func(bank, name, domain string) *schemas.Participant {
		p := &schemas.Participant{Bank: bank, Name: name, Contacts: []string{domain}}
		own := keys[bank]
		p.Keys = append(formerKeys(before, bank, own), own...)
		if len(own) > 0 {
			p.SigningKeyId = own[len(own)-1].GetId()
		}
		return p
	}
	d := &schemas.Directory{Participants: []*schemas.Participant{
		participant(ReceivingBank, "Receiving Bank", receivingDomain),
		participant(IssuingBank, "Issuing Bank", issuingDomain),
	}}
	for _, other := range before.GetParticipants() {
		if bank := other.GetBank(); bank != ReceivingBank && bank != IssuingBank {
			d.Participants = append(d.Participants, other)
		}
	}
	d.Parties = before.GetParties()
	return d
}

// formerKeys are the keys of a bank that the directory before has, and that are not among its own now.
func formerKeys(before *schemas.Directory, bank string, own []*schemas.PublicKey) []*schemas.PublicKey {
	var keys []*schemas.PublicKey
	for _, former := range before.GetParticipants() {
		for _, key := range former.GetKeys() {
			if former.GetBank() == bank && !hasKey(own, key.GetId()) {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

func hasKey(keys []*schemas.PublicKey, id string) bool {
	for _, key := range keys {
		if key.GetId() == id {
			return true
		}
	}
	return false
}

// serves says whether the demo's parties find in the directory what they need.
func serves(d *schemas.Directory) bool {
	receiving, issuing := false, false
	for _, p := range d.GetParticipants() {
		receiving = receiving || p.GetBank() == ReceivingBank
		for _, contact := range p.GetContacts() {
			issuing = issuing || p.GetBank() == IssuingBank && strings.EqualFold(contact, issuingDomain)
		}
	}
	return receiving && issuing
}

// sellerAccount is where a seller wants the money of one currency.
func sellerAccount(seller, currency string) string {
	return ReceivingBank + "/" + name("seller account", seller, currency)
}

// buyerAccount is out of what a buyer pays in one currency: own money, or a line.
func buyerAccount(buyer string, kind schemas.AccountKind, currency string) string {
	return IssuingBank + "/" + name("buyer account", buyer, kind.String(), currency)
}

// contact is how a seller knows a buyer. Who answers for it is the directory's to say.
func contact(buyer string) string { return name("contact", buyer) + issuingDomain }

// name is a name for what the parts mean: 24 letters and digits.
func name(kind string, parts ...string) string {
	const size = 24
	sum := derive(kind, parts...)
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:size]
}

func derive(kind string, parts ...string) [sha256.Size]byte {
	text := append([]byte(kind), 0)
	for _, part := range parts {
		text = binary.BigEndian.AppendUint32(text, uint32(len(part))) //nolint:gosec // at most schemas.TextMax bytes
		text = append(text, part...)
	}
	return sha256.Sum256(text)
}

// invitationOf is the invitation that a seller sends for an order. How the issuing bank is named, the route
// and where the account comes from vary with the order's id, so that every run walks all ways; an order that
// comes again comes the same way.
func invitationOf(o batch.Order, directoryVersion uint64) *schemas.Invitation {
	kind := schemas.FundingKind(o.Funding)
	x := &schemas.Invitation{
		Id:               schemas.InvitationID(ReceivingBank, o.SellerID, o.OrderID),
		ReceivingBank:    ReceivingBank,
		ReceivingAccount: sellerAccount(o.SellerID, o.Currency),
		Seller:           o.SellerID,
		Reference:        o.OrderID,
		Buyer:            o.BuyerID,
		Amount:           o.Money,
		Funding:          o.Funding,
		Route:            schemas.Route_ROUTE_DIRECT,
		AccountSource:    schemas.AccountSource_ACCOUNT_SOURCE_ENTERED,
		DirectoryVersion: directoryVersion,
	}
	account := &schemas.IssuingInformation_Account{Account: buyerAccount(o.BuyerID, kind, o.Currency)}
	way := derive("way", o.OrderID)
	switch way[0] % 4 {
	case 0:
		x.Issuing = &schemas.IssuingInformation{Kind: &schemas.IssuingInformation_Bank{Bank: IssuingBank}}
	case 1:
		known := &schemas.IssuingInformation_Contact{Contact: contact(o.BuyerID)}
		x.Issuing = &schemas.IssuingInformation{Kind: known}
	case 2:
		x.Issuing = &schemas.IssuingInformation{Kind: account}
	case 3:
		x.Issuing = &schemas.IssuingInformation{Kind: account}
		x.AccountSource = schemas.AccountSource_ACCOUNT_SOURCE_CONFIRMED
	}
	if way[1]%2 == 1 {
		x.Route = schemas.Route_ROUTE_VIA_SELLER
	}
	return x
}

// invitationMessage submits the invitation. Its id is its content's: the same again is the same message.
func invitationMessage(x *schemas.Invitation) schemas.Message {
	id := schemas.SubmissionID(x.GetId(), schemas.ContentDigest(x))
	return schemas.Message{Attributes: schemas.Attributes{ID: id, Source: source}, Body: x}
}

// openMessage opens an account, funded in the same act.
func openMessage(account string, open *schemas.Open) schemas.Message {
	return schemas.Message{
		Attributes: schemas.Attributes{ID: schemas.OpenID(account, open), Source: source},
		Body:       &schemas.Movement{Account: account, Verb: &schemas.Movement_Open{Open: open}},
	}
}

// Status is an order's status, as far as it decides what its buyer does with the pre-issue.
type Status uint8

// What buyers do.
const (
	Requests    Status = iota // asks for the certificate
	Declines                  // of an order that is canceled
	NeverAnswer               // of an order that is unavailable
)

func statusOf(o batch.Order) Status {
	switch o.OrderStatus {
	case "canceled":
		return Declines
	case "unavailable":
		return NeverAnswer
	default:
		return Requests
	}
}

// answerMessage is what the buyer of the terms answers to them: to all of them, as they were offered. It goes on with
// the trace of what it answers.
func answerMessage(terms *schemas.Terms, status Status, cause string, trace schemas.Trace) schemas.Message {
	digest := hex.EncodeToString(schemas.TermsDigest(terms))
	request := &schemas.IssuanceRequest{Terms: terms}
	kind := "request"
	if status == Declines {
		kind = "decline"
		request.Verb = &schemas.IssuanceRequest_Decline{Decline: &schemas.Decline{Buyer: terms.GetBuyer()}}
	} else {
		funding := schemas.FundingKind(terms.GetFunding())
		account := buyerAccount(terms.GetBuyer(), funding, terms.GetAmount().GetCurrency())
		request.Verb = &schemas.IssuanceRequest_Request{
			Request: &schemas.Request{Buyer: terms.GetBuyer(), Account: account},
		}
	}
	id := schemas.DeriveID(kind, terms.GetInvitationId(), digest)
	return schemas.Message{
		Attributes: schemas.Attributes{ID: id, Source: source, Cause: cause, Trace: trace.Follow(id)},
		Body:       request,
	}
}

// directoryMessage publishes a version of the directory after one that is known.
func directoryMessage(d *schemas.Directory, before uint64) (schemas.Message, error) {
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(d)
	if err != nil {
		return schemas.Message{}, err
	}
	sum := sha256.Sum256(content)
	id := schemas.DeriveID("directory", strconv.FormatUint(before, 10), hex.EncodeToString(sum[:]))
	return schemas.Message{Attributes: schemas.Attributes{ID: id, Source: source}, Body: d}, nil
}
