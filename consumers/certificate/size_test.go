package certificate_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/consumers/certificate"
	"github.com/aval-systems/aval/consumers/notice"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// The largest invitation that can be read goes all the way: what quotes it can be written at every step. Its
// parties and its reference are of what JSON makes most of, and every message is filled up with fields of a
// later version, which all are carried on.
func TestTheLargestInvitationGoesAllTheWay(t *testing.T) {
	t.Parallel()
	worst := strings.Repeat("\x01", schemas.TextMax)
	x := invitation(func(x *schemas.Invitation) {
		x.Seller, x.Buyer, x.Reference = worst, worst, worst
		x.Route = schemas.Route_ROUTE_VIA_SELLER
	})
	fill(x, x, schemas.InvitationMax)
	follow(t, certificate.Invitation(), in(schemas.TopicInvitations, x))
	entry := answer(done(), vouchFor(t, x))
	offer := only(t, follow(t, certificate.Routing(directories{1}), in(schemas.TopicEntries, entry)))
	offered, _ := offer.Body.(*schemas.IssuanceRequest)
	fill(offered, offered.GetTerms(), schemas.IssuanceRequestMax)
	item := &schemas.PreIssue{Decision: done(), Id: "o1", Request: offered}
	leg := only(t, follow(t, certificate.Relay(), in(schemas.TopicPreIssues, item)))
	for range 2 {
		follow(t, notice.Stage(), noticeIn(leg))
		leg = only(t, follow(t, certificate.Relay(), receiptOf(leg, "r")))
	}
	request := request(proto.CloneOf(offered.GetTerms()))
	request.GetTerms().ProtoReflect().SetUnknown(nil)
	fill(request, request.GetTerms(), schemas.IssuanceRequestMax)
	outs := follow(t, certificate.Certificate(keys(t)),
		in(schemas.TopicEntries, answer(done(), holdFor(t, request))))
	if len(outs) != 4 {
		t.Fatalf("got %d follows, want a certificate and three notices", len(outs))
	}
	for _, out := range outs[1:] {
		follow(t, notice.Stage(), noticeIn(out))
	}
	checkJWS(t, outs[0])
}

// checkJWS asks that the bound of a JWS has a reason: the largest one comes near it.
func checkJWS(t *testing.T, out pipeline.Out) {
	t.Helper()
	c, _ := out.Body.(*schemas.Certificate)
	if n := len(c.GetJws()); n > schemas.JWSMax || n < schemas.JWSMax*9/10 {
		t.Errorf("the largest JWS has %d bytes, its bound is %d", n, schemas.JWSMax)
	}
	claims, err := certificate.Verify(c.GetJws(), keys(t).Public())
	if err != nil || claims != certificate.ClaimsOf(c) {
		t.Errorf("Verify() = %v", err)
	}
}

func noticeIn(out pipeline.Out) pipeline.In {
	m := in(schemas.TopicNotices, out.Body)
	m.ID = out.ID
	return m
}

// fill adds fields that this version does not know to a part of the message, until all of it has the size.
func fill(whole, part proto.Message, size int) {
	const framing = 16 // the field's tag and length, and what the lengths around it grow by
	field := []byte{0xfa, 0x7f}
	n := size - proto.Size(whole) - framing
	field = append(field, byte(n)|0x80, byte(n>>7)|0x80, byte(n>>14))
	part.ProtoReflect().SetUnknown(append(field, make([]byte, n)...))
}
