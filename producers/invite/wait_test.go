package invite_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/producers/invite"
	"github.com/aval-systems/aval/schemas"
)

// answer answers what is handed in by what stands in the reference.
func (w *world) answer(t *testing.T) {
	t.Helper()
	journals := make([]int64, partitions)
	for p := range journals {
		w.add(takeover(t, p))
	}
	w.after = func(records []pipeline.Record) {
		for _, r := range records {
			in, err := pipeline.Decode(r)
			if err != nil {
				t.Error(err)
			}
			x, _ := in.Body.(*schemas.Invitation)
			for word := range strings.FieldsSeq(x.GetReference()) {
				for _, body := range answers(x, word) {
					record := encode(t, body)
					if item, ok := body.(*schemas.PreIssue); ok {
						p := schemas.PartitionOf(r.Key, partitions)
						record.Partition, record.Key = p, r.Key
						entry := pipeline.Entry{From: journals[p], To: journals[p] + 1, Digest: "d"}
						if strings.Contains(item.GetId(), "late") {
							entry.From, entry.To = 1000, 1001
						} else {
							journals[p]++
						}
						record.Headers = append(record.Headers, pipeline.Header{
							Key: pipeline.EntryHeader, Value: pipeline.EntryHeaderValue(entry, 1),
						})
					}
					w.add(record)
				}
			}
		}
	}
}

// answers are what follows an invitation that has the word in its reference.
func answers(x *schemas.Invitation, word string) []proto.Message {
	terms := &schemas.Terms{
		InvitationId: x.GetId(), ContentDigest: schemas.ContentDigest(x), Seller: x.GetSeller(),
		Reference: x.GetReference(), Buyer: x.GetBuyer(), Amount: x.GetAmount(), Funding: x.GetFunding(),
		ReceivingBank: x.GetReceivingBank(), ReceivingAccount: x.GetReceivingAccount(), IssuingBank: "QUAYUS33XXX",
		AccountSource: x.GetAccountSource(), Route: x.GetRoute(), KeyId: "k", DirectoryVersion: 3,
	}
	refusal := &schemas.Refusal{
		InvitationId: x.GetId(), ContentDigest: schemas.ContentDigest(x), Seller: x.GetSeller(),
		Reference: x.GetReference(), Reason: schemas.Reason_REASON_DECLINED,
	}
	offer := &schemas.PreIssue{
		Id: "offer", Decision: &schemas.Decision{Outcome: schemas.Outcome_OUTCOME_DONE},
		Request: &schemas.IssuanceRequest{
			Terms: terms, Verb: &schemas.IssuanceRequest_Offer{Offer: &schemas.Offer{}},
		},
	}
	switch word {
	case "offered":
		return []proto.Message{offer}
	case "late": // an entry that does not count
		offer.Id = "late"
		return []proto.Message{offer}
	case "conflict":
		offer.Decision = &schemas.Decision{
			Outcome: schemas.Outcome_OUTCOME_CONFLICT, Reason: schemas.Reason_REASON_TERMS,
		}
		return []proto.Message{offer}
	case "issued":
		hold := schemas.HoldID(x.GetId())
		return []proto.Message{&schemas.Certificate{
			Id: schemas.CertificateID(hold), Terms: terms, IssuingAccount: "QUAYUS33XXX/9", HoldId: hold, Jws: "a.b.c",
		}}
	case "refused":
		return []proto.Message{refusal}
	case "invalid":
		refusal.Reason, refusal.Detail = schemas.Reason_REASON_INVALID, "so it is"
		return []proto.Message{refusal}
	case "another": // content of the same invitation
		refusal.ContentDigest = make([]byte, schemas.DigestSize)
		return []proto.Message{refusal}
	}
	return nil
}

func encode(t *testing.T, body proto.Message) pipeline.Record {
	t.Helper()
	topic := map[string]string{
		"Certificate": schemas.TopicCertificates, "Refusal": schemas.TopicRefusals, "PreIssue": schemas.TopicPreIssues,
	}[string(body.ProtoReflect().Descriptor().Name())]
	r, err := pipeline.Encode(topic, schemas.Message{
		Attributes: schemas.Attributes{ID: "m", Source: "/aval/test", Time: taken()}, Body: body,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func takeover(t *testing.T, partition int) pipeline.Record {
	t.Helper()
	r, err := pipeline.Encode(schemas.TopicPreIssues, schemas.Message{
		Attributes: schemas.Attributes{ID: "takeover", Source: "/aval/test", Time: taken()},
		Body:       &schemas.Takeover{History: "h", Partitions: partitions, Owner: "test"},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Partition = partition
	r.Headers = append(r.Headers, pipeline.Header{Key: pipeline.TakeoverHeader, Value: []byte("h")})
	return r
}

// ask is a row whose reference says what becomes of it.
func ask(reference string) string {
	return "AVALBRSP/1,s," + reference + ",b,1.00,BRL,QUAYUS33XXX\n"
}

func TestWait(t *testing.T) {
	t.Parallel()
	for wait, wants := range map[invite.Wait]map[string]string{
		invite.WaitNone: {"offered issued": "sent", "refused": "sent"},
		invite.WaitOffered: {
			"offered": "offered", "refused": "refused declined", "issued": "issued", "offered issued": "issued",
			"another offered": "offered", "invalid": "refused invalid: so it is",
			"conflict refused": "refused declined",
		},
		invite.WaitFinal: {
			"offered refused": "refused declined", "offered issued": "issued", "another issued": "issued",
			"issued another": "issued", "issued offered": "issued",
		},
	} {
		t.Run("for "+string(wait), func(t *testing.T) {
			t.Parallel()
			var text strings.Builder
			text.WriteString(header)
			for reference := range wants {
				text.WriteString(ask(reference) + ask(reference) + ask(""))
			}
			w := newWorld()
			w.answer(t)
			j := newJob(t, w, text.String())
			j.c.Wait = wait
			s := j.must()
			counts := map[string]int{}
			for _, row := range j.told() {
				counts[row["outcome"]]++
				if row["outcome"] == "invalid" {
					continue
				}
				certificate := ""
				if row["outcome"] == "issued" {
					certificate = schemas.CertificateID(schemas.HoldID(row["invitation_id"]))
				}
				got := strings.TrimSpace(row["outcome"] + " " + row["reason"])
				want := wants[row["reference"]]
				if got != want && (row["reference"] != "offered issued" || got != "offered") ||
					row["certificate_id"] != certificate {
					t.Errorf("%q is told as %v, want %s", row["reference"], row, want)
				}
			}
			if s.Issued != counts["issued"] || s.Refused != counts["refused"] || s.Offered != counts["offered"] ||
				s.Sent != 2*len(wants) || s.Invalid != len(wants) || s.Undecided != 0 {
				t.Errorf("summary %+v, the report has %v", s, counts)
			}
		})
	}
}

// TestUndecided waits for nobody longer than it should, and in the end for nobody.
func TestUndecided(t *testing.T) {
	t.Parallel()
	for wait, references := range map[invite.Wait][]string{
		invite.WaitOffered: {"nothing", "another", "late", "conflict"},
		invite.WaitFinal:   {"nothing", "offered"},
	} {
		t.Run("for "+string(wait), func(t *testing.T) {
			t.Parallel()
			var b strings.Builder
			b.WriteString(header)
			for range 500 {
				for _, reference := range references {
					b.WriteString(ask(reference))
				}
			}
			w := newWorld()
			w.answer(t)
			j := newJob(t, w, b.String())
			j.c.Wait, j.c.Timeout, j.c.PieceBytes = wait, 500*time.Millisecond, 512 // many more than may be outstanding
			began := time.Now()
			s := j.must()
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("it took %v", took)
			}
			for i, row := range j.told() {
				want := "undecided" // for a later offer nobody waits
				if row["reference"] == "offered" && (i < 2 || row["outcome"] == "offered") {
					want = "offered"
				}
				if row["outcome"] != want || row["reason"] != "no decision for 500ms" && want == "undecided" {
					t.Fatalf("it is told as %v, want %s", row, want)
				}
			}
			if s.Undecided+s.Offered != s.Sent || s.Sent != 500*len(references) {
				t.Errorf("summary %+v", s)
			}
		})
	}
}

// TestRecall looks up what was decided before, which nobody tells anew.
func TestRecall(t *testing.T) {
	t.Parallel()
	j := newJob(t, newWorld(), header+ask("before")+ask("unknown"))
	j.c.Wait, j.c.Timeout = invite.WaitOffered, 3*time.Second
	x, _ := read(t, strings.Split(strings.TrimSpace(header), ","), strings.TrimSpace(ask("before")))
	j.known = []invite.Known{
		{Invitation: "of nobody", Outcome: invite.Issued},
		{Invitation: x.GetId(), Content: []byte("another"), Outcome: invite.Refused},
		{Invitation: x.GetId(), Content: schemas.ContentDigest(x), Outcome: invite.Issued, Certificate: "c"},
	}
	s := j.must()
	told := j.told()
	if told[0]["outcome"] != "issued" || told[0]["certificate_id"] != "c" || told[1]["outcome"] != "undecided" ||
		s.Issued != 1 || s.Undecided != 1 {
		t.Errorf("it is told as %v", told)
	}
	if j.asked < 2 || j.asked > 8 {
		t.Errorf("it was looked up %d times", j.asked)
	}
}

// TestTrickle waits longer than its time for rows that are decided one after the other.
func TestTrickle(t *testing.T) {
	t.Parallel()
	const rows = 8
	w := newWorld()
	var late sync.WaitGroup
	w.after = func(records []pipeline.Record) {
		late.Go(func() {
			for _, r := range records {
				time.Sleep(200 * time.Millisecond)
				in, err := pipeline.Decode(r)
				if err != nil {
					t.Error(err)
				}
				x, _ := in.Body.(*schemas.Invitation)
				w.add(encode(t, answers(x, "issued")[0]))
			}
		})
	}
	j := newJob(t, w, file(rows))
	j.c.Wait, j.c.Timeout = invite.WaitFinal, time.Second
	if s := j.must(); s.Issued != rows {
		t.Errorf("summary %+v", s.Counts)
	}
	late.Wait()
}
