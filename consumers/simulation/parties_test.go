package simulation_test

import (
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/aval-systems/aval/consumers/certificate"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

const (
	receivingBank = "AVALBRSPRCV"
	issuingBank   = "AVALBRSPISS"
	currency      = "BRL"
	funds         = 100 // of every account of a buyer
)

// parties are all who send something: sellers, buyers and banks. They never die, and repeat what was not acknowledged.
type parties struct {
	w      *world
	orders []*order
	idle   bool
	hurry  bool // they wait no longer between two messages
}

// order is a deal, and what its parties will do.
type order struct {
	*schemas.Invitation

	reaction int // see react
	later    int // see honour
}

func (w *world) parties() *parties { return w.outside.parties }

// found writes the directory and lets the parties begin.
func (w *world) found() {
	id, private := certificate.DemonstrationKey(issuingBank)
	key, _ := private.Public().(ed25519.PublicKey)
	directory := &schemas.Directory{Participants: []*schemas.Participant{
		{Bank: receivingBank, Name: "Receiving Bank"},
		{
			Bank: issuingBank, Name: "Issuing Bank", SigningKeyId: id, Contacts: []string{"@issuing.example"},
			Keys: []*schemas.PublicKey{{Id: id, Ed25519: key}},
		},
	}}
	w.directory = certificate.NewDirectory(directory)
	w.outside = &process{w: w, name: "parties"}
	s := &parties{w: w}
	w.outside.parties = s
	w.broker.add(place{schemas.TopicDirectory, 0}, []pipeline.Record{s.record("directory", directory)})
	for n := range w.odds.orders {
		s.orders = append(s.orders, s.order(n))
	}
	s.task(s.submit)
	for partition := range shards {
		s.follow(schemas.TopicNotices, partition, s.react)
		s.follow(schemas.TopicCertificates, partition, s.honour)
	}
}

// task begins one of the things that the parties do.
func (s *parties) task(run func(t *task)) *task {
	t := &task{p: s.w.outside}
	t.work.Name = "party"
	s.w.outside.begin(t, func() { run(t) })
	return t
}

// follow begins one that answers what a topic tells, by offset.
func (s *parties) follow(topic string, partition int, answer func(pipeline.In) []pipeline.Record) {
	t := s.task(func(t *task) {
		for from := int64(0); ; from++ {
			for from >= s.w.broker.end(t.place()) {
				t.waits, t.from, t.wake = true, from, time.Time{}
				if !s.w.pause() {
					return
				}
				t.waits = false
			}
			in, err := pipeline.Decode(s.w.broker.topics[topic][partition][from])
			if err != nil {
				s.w.violate("a party cannot read %s at %d: %v", t.place(), from, err)
				return
			}
			for _, r := range answer(in) {
				if !s.send(t, r) {
					return
				}
			}
		}
	})
	t.work.Topic, t.partition = topic, partition
}

// send publishes until that is acknowledged, and now and then once more.
func (s *parties) send(t *task, records ...pipeline.Record) bool {
	for again := true; again; again = s.w.dice.strikes("sent twice", 100) {
		for (port{s.w}).Publish(s.w.ctx, records) != nil {
			if t.p.dead {
				return false
			}
		}
	}
	return true
}

func (s *parties) record(id string, body proto.Message) pipeline.Record {
	var topic string
	switch body.(type) {
	case *schemas.Movement:
		topic = schemas.TopicMovements
	case *schemas.IssuanceRequest:
		topic = schemas.TopicIssuanceRequests
	case *schemas.Invitation:
		topic = schemas.TopicInvitations
	case *schemas.Directory:
		topic = schemas.TopicDirectory
	}
	r, err := pipeline.Encode(topic, schemas.Message{
		Attributes: schemas.Attributes{ID: id, Source: "/parties", Time: s.w.now}, Body: body,
	})
	if err != nil {
		panic(err)
	}
	return r
}

func money(amount int64) *schemas.Money {
	return &schemas.Money{MinorUnits: amount, Currency: currency}
}

func sellerAccount(seller string) string { return receivingBank + "/" + seller }

func buyerAccount(buyer string, kind schemas.AccountKind) string {
	if kind == schemas.AccountKind_ACCOUNT_KIND_CREDIT {
		return issuingBank + "/" + buyer + "-line"
	}
	return issuingBank + "/" + buyer
}

// order makes one that two buyers and two sellers may have; some are of unknown parties, or too much.
func (s *parties) order(n int) *order {
	d := s.w.dice
	seller, buyer := pick(d, "seller", []string{"s0", "s1"}), pick(d, "buyer", []string{"b0", "b1"})
	reference := fmt.Sprintf("order-%d", n)
	o := &order{reaction: d.below("reaction", 10), later: d.below("later", 6), Invitation: &schemas.Invitation{
		Id:            schemas.InvitationID(receivingBank, seller, reference),
		ReceivingBank: receivingBank, ReceivingAccount: sellerAccount(seller), Seller: seller, Reference: reference,
		Buyer: buyer, Amount: money(int64(20 + 20*d.below("amount", 4))),
		Funding:       schemas.Funding(1 + d.below("funding", 2)),
		Route:         schemas.Route(1 + d.below("route", 2)),
		AccountSource: schemas.AccountSource_ACCOUNT_SOURCE_ENTERED, DirectoryVersion: 1,
	}}
	account := buyerAccount(buyer, schemas.FundingKind(o.Funding))
	switch d.below("issuing", 10) {
	case 0:
		o.Issuing = &schemas.IssuingInformation{Kind: &schemas.IssuingInformation_Bank{Bank: "NOBODYBRSP"}}
	case 1, 2, 3:
		o.Issuing = &schemas.IssuingInformation{Kind: &schemas.IssuingInformation_Contact{
			Contact: buyer + "@issuing.example",
		}}
	case 4, 5:
		o.Issuing = &schemas.IssuingInformation{Kind: &schemas.IssuingInformation_Account{Account: account}}
		o.AccountSource = schemas.AccountSource_ACCOUNT_SOURCE_CONFIRMED
	default:
		o.Issuing = &schemas.IssuingInformation{Kind: &schemas.IssuingInformation_Bank{Bank: issuingBank}}
	}
	if d.one("unknown seller", 10) {
		o.ReceivingAccount = sellerAccount("nobody")
	}
	return o
}

// submit opens accounts, invites, and sends what disturbs: contradictions, rubbish, money, blocks.
func (s *parties) submit(t *task) {
	d := s.w.dice
	var records []pipeline.Record
	open := func(account, holder string, kind schemas.AccountKind, amount int64) {
		x := &schemas.Open{Kind: kind, Holder: holder, Funds: money(amount)}
		records = append(records, s.record(schemas.OpenID(account, x), &schemas.Movement{
			Account: account, Verb: &schemas.Movement_Open{Open: x},
		}))
	}
	for _, n := range []string{"0", "1"} {
		for _, kind := range []schemas.AccountKind{
			schemas.AccountKind_ACCOUNT_KIND_DEPOSIT, schemas.AccountKind_ACCOUNT_KIND_CREDIT,
		} {
			open(buyerAccount("b"+n, kind), "b"+n, kind, funds)
		}
		open(sellerAccount("s"+n), "s"+n, schemas.AccountKind_ACCOUNT_KIND_DEPOSIT, 0)
	}
	if d.one("late accounts", 5) {
		records = records[2:]
	}
	if !s.send(t, records...) {
		return
	}
	for _, r := range s.letters() {
		if !s.send(t, r) {
			return
		}
		for range d.below("between two letters", 30) {
			if s.hurry {
				break
			}
			if !s.w.pause() {
				return
			}
		}
	}
	s.idle = true
}

// letters are the invitations and what is sent beside them, in an order that is not theirs.
func (s *parties) letters() []pipeline.Record {
	d := s.w.dice
	var records []pipeline.Record
	for _, o := range s.orders {
		records = append(records, s.invite(o.Invitation))
		if d.one("contradicts itself", 8) {
			other := proto.CloneOf(o.Invitation)
			other.Amount = money(other.GetAmount().GetMinorUnits() + 1)
			records = append(records, s.invite(other))
		}
	}
	for n := range d.below("deeds", 6) {
		records = append(records, s.deed(n))
	}
	for i := range records {
		j := i + d.below("which comes first", len(records)-i)
		records[i], records[j] = records[j], records[i]
	}
	return records
}

func (s *parties) invite(x *schemas.Invitation) pipeline.Record {
	return s.record(schemas.SubmissionID(x.GetId(), schemas.ContentDigest(x)), x)
}

// deed is something that is not a certificate's.
func (s *parties) deed(n int) pipeline.Record {
	d := s.w.dice
	kinds := []schemas.AccountKind{
		schemas.AccountKind_ACCOUNT_KIND_DEPOSIT, schemas.AccountKind_ACCOUNT_KIND_CREDIT,
	}
	account := buyerAccount(pick(d, "whose account", []string{"b0", "b1"}), pick(d, "which account", kinds))
	id := fmt.Sprintf("deed-%d", n-d.below("deed again", 2)) // another deed may have the same identifier
	move := func(m *schemas.Movement) pipeline.Record {
		m.Account = account
		return s.record(id, m)
	}
	amount := money(int64(10 + 10*d.below("deed amount", 6)))
	switch d.below("deed", 9) {
	case 0:
		return move(&schemas.Movement{Verb: &schemas.Movement_Credit{
			Credit: &schemas.Credit{Amount: amount, Contra: schemas.Contra_CONTRA_GENESIS},
		}})
	case 1:
		return move(&schemas.Movement{Verb: &schemas.Movement_Debit{
			Debit: &schemas.Debit{Amount: amount, Contra: schemas.Contra_CONTRA_CLEARING},
		}})
	case 2:
		return move(&schemas.Movement{Verb: &schemas.Movement_Block{Block: &schemas.Block{}}})
	case 3:
		return move(&schemas.Movement{Verb: &schemas.Movement_Unblock{Unblock: &schemas.Unblock{}}})
	case 4:
		return move(&schemas.Movement{Verb: &schemas.Movement_Release{Release: &schemas.Release{Hold: "nothing"}}})
	case 5, 6:
		return s.rubbish(pick(d, "rubbish to", []string{
			schemas.TopicMovements, schemas.TopicIssuanceRequests, schemas.TopicInvitations,
		}))
	}
	r := s.record(fmt.Sprintf("tick-%d", n), &schemas.Movement{Verb: &schemas.Movement_Tick{
		Tick: &schemas.Tick{Retention: durationpb.New(24 * time.Hour)},
	}})
	r.Partition = d.below("tick", shards)
	return r
}

// rubbish is a record that nobody can read, or that stands under another's key.
func (s *parties) rubbish(topic string) pipeline.Record {
	if s.w.dice.one("wrong key", 2) {
		r := s.invite(s.orders[0].Invitation)
		r.Topic, r.Key = topic, []byte("another")
		return r
	}
	return pipeline.Record{
		Topic: topic, Partition: -1, Key: []byte("rubbish"), Value: []byte("rubbish"), Headers: nil,
	}
}

// orderOf is the order that an invitation is about.
func (s *parties) orderOf(invitation string) *order {
	for _, o := range s.orders {
		if o.GetId() == invitation {
			return o
		}
	}
	return s.orders[0]
}

// react is what buyers and sellers do about a pre-issue.
func (s *parties) react(in pipeline.In) []pipeline.Record {
	n, _ := in.Body.(*schemas.Notice)
	if n.GetSubject() != schemas.Subject_SUBJECT_PRE_ISSUE || n.GetRecipient().GetRole() != schemas.Role_ROLE_BUYER {
		return nil
	}
	terms := n.GetTerms()
	own := buyerAccount(terms.GetBuyer(), schemas.FundingKind(terms.GetFunding()))
	request := func(account string) pipeline.Record {
		return s.answer("request "+account, terms, &schemas.IssuanceRequest{Verb: &schemas.IssuanceRequest_Request{
			Request: &schemas.Request{Buyer: terms.GetBuyer(), Account: account},
		}})
	}
	decline := s.answer("decline", terms, &schemas.IssuanceRequest{Verb: &schemas.IssuanceRequest_Decline{
		Decline: &schemas.Decline{Buyer: terms.GetBuyer()},
	}})
	withdraw := s.answer("withdraw", terms, &schemas.IssuanceRequest{Verb: &schemas.IssuanceRequest_Withdraw{
		Withdraw: &schemas.Withdraw{Seller: terms.GetSeller()},
	}})
	switch s.orderOf(terms.GetInvitationId()).reaction {
	case 0:
		return []pipeline.Record{decline}
	case 1:
		return []pipeline.Record{request(own), decline}
	case 2:
		return []pipeline.Record{withdraw, request(own)}
	case 3:
		return []pipeline.Record{request(own), request(issuingBank + "/other")}
	case 4:
		return nil
	}
	return []pipeline.Record{request(own)}
}

func (s *parties) answer(kind string, terms *schemas.Terms, x *schemas.IssuanceRequest) pipeline.Record {
	x.Terms = terms
	return s.record(schemas.DeriveID(kind, terms.GetInvitationId(), hex.EncodeToString(schemas.TermsDigest(terms))), x)
}

// honour is what a bank does about the hold of a certificate: capture, capture a part, release; and once more.
func (s *parties) honour(in pipeline.In) []pipeline.Record {
	x, _ := in.Body.(*schemas.Certificate)
	o := s.orderOf(x.GetTerms().GetInvitationId())
	move := func(id string, m *schemas.Movement) pipeline.Record {
		m.Account = x.GetIssuingAccount()
		return s.record(schemas.DeriveID(id, x.GetHoldId()), m)
	}
	capture := func(id string, amount int64) pipeline.Record {
		return move(id, &schemas.Movement{Verb: &schemas.Movement_Capture{
			Capture: &schemas.Capture{Hold: x.GetHoldId(), Amount: money(amount)},
		}})
	}
	release := func(id string) pipeline.Record {
		return move(id, &schemas.Movement{Verb: &schemas.Movement_Release{
			Release: &schemas.Release{Hold: x.GetHoldId()},
		}})
	}
	switch amount := x.GetTerms().GetAmount().GetMinorUnits(); o.later {
	case 0:
		return []pipeline.Record{capture("all", amount)}
	case 1:
		return []pipeline.Record{capture("part", amount/2), release("rest"), release("again")}
	case 2:
		return []pipeline.Record{release("release"), release("again"), capture("late", amount)}
	case 3:
		return []pipeline.Record{capture("too much", amount+1)}
	}
	return nil
}
