package main_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aval-systems/aval/producers/sample"
	"github.com/aval-systems/aval/schemas"
)

// job is a file of orders that is to be run, and where its results go.
type job struct {
	dir    string
	orders []byte
	funds  string
}

func newJob(t *testing.T, orders []byte, funds string) job {
	t.Helper()
	j := job{dir: t.TempDir(), orders: orders, funds: funds}
	writeFile(t, j.path("orders.csv"), orders)
	return j
}

func (j job) path(name string) string { return filepath.Join(j.dir, name) }

// args are those of a run in a place.
func (j job) args(place ...string) []string {
	return append([]string{
		"demo", "--orders", j.path("orders.csv"), "--funds", j.funds, "--report", j.path("report.csv"),
		"--certificates", j.path("certificates.ndjson"), "--progress", "plain", "-o", "json",
	}, place...)
}

// judge has the oracle look at what a run left behind.
func (j job) judge(t *testing.T, p *process) evidence {
	t.Helper()
	want := exitDecided
	code := p.wait(t)
	e := evidence{orders: j.orders, funds: j.funds, summary: []byte(p.stdout.String())}
	if code != exitDecided && code != exitInvalid {
		t.Fatalf("aval %s ended with %d", p.name, code)
	}
	e.report, e.certificates = readFile(t, j.path("report.csv")), readFile(t, j.path("certificates.ndjson"))
	e.keys = readFile(t, j.path("certificates.ndjson.jwks"))
	if bytes.Contains(e.report, []byte(",invalid,")) {
		want = exitInvalid
	}
	if code != want {
		t.Errorf("aval %s ended with %d, want %d", p.name, code, want)
	}
	if found := e.differences(); len(found) > 0 {
		t.Errorf("aval %s: %d differences, such as\n%s", p.name, len(found),
			strings.Join(found[:min(20, len(found))], "\n"))
	}
	return e
}

// same fails the test unless two runs reported the same.
func same(t *testing.T, before, after evidence) {
	t.Helper()
	if !bytes.Equal(before.report, after.report) {
		t.Error("the report is another one")
	}
	if !bytes.Equal(before.certificates, after.certificates) || !bytes.Equal(before.keys, after.keys) {
		t.Error("the certificates or their keys are others")
	}
}

func sampleOf(t *testing.T, seed uint64, rows int) []byte {
	t.Helper()
	var text bytes.Buffer
	if err := sample.Generate(&text, seed, rows); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

// crowdFunds suffice for about half of what a crowd of 2,000 rows asks for.
const crowdFunds = "1200"

// crowd is a file of orders of which few buyers make many, so that their money is fought for.
func crowd(seed uint64, rows int) []byte {
	random := rand.New(rand.NewPCG(seed, 1))
	var text bytes.Buffer
	text.WriteString("order_id,seller_id,buyer_id,amount,currency,payment_type,order_status\n")
	var before []string
	for n := range rows {
		status := "delivered"
		switch random.IntN(20) {
		case 0:
			status = "canceled"
		case 1:
			status = "unavailable"
		}
		payment := []string{"credit_card", "boleto"}[random.IntN(2)]
		amount := fmt.Sprintf("%d.%02d", 1+random.IntN(100), random.IntN(100))
		line := fmt.Sprintf("o%06d,s%02d,b%02d,%s,BRL,%s,%s\n", n, random.IntN(30), random.IntN(20), amount, payment,
			status)
		switch at := random.IntN(40); {
		case n > 0 && at == 0: // the same again
			line = before[random.IntN(len(before))]
		case n > 0 && at == 1: // contradicts
			fields := strings.Split(before[random.IntN(len(before))], ",")
			fields[3] = "1000.00"
			line = strings.Join(fields, ",")
		}
		before = append(before, line)
		text.WriteString(line)
	}
	return text.Bytes()
}

// TestDemo runs files of orders, and each a second time, from which nothing new may come.
func TestDemo(t *testing.T) {
	t.Parallel()
	type file struct {
		orders []byte
		funds  string
	}
	files := map[string]file{"crowd": {crowd(1, 2000), crowdFunds}}
	for _, seed := range []uint64{2, 3} {
		files[fmt.Sprintf("sample %d", seed)] = file{sampleOf(t, seed, sample.RowsDefault), sample.Funds}
	}
	for name, f := range files {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, at := range places(t) {
				t.Run(at.name, func(t *testing.T) {
					t.Parallel()
					twice(t, newJob(t, f.orders, f.funds), at)
				})
			}
		})
	}
}

func twice(t *testing.T, j job, at place) {
	t.Helper()
	first := j.judge(t, start(t, j.args(at.flags...)...))
	var before books
	at.look(t, func(log *client) { before = readBooks(t, log) })
	if before.items() < bytes.Count(first.certificates, []byte("\n")) {
		t.Fatalf("the journals hold %d items, fewer than there are certificates", before.items())
	}
	again := j.judge(t, start(t, j.args(at.flags...)...))
	same(t, first, again)
	at.look(t, func(log *client) {
		before.gainedNothing(t, readBooks(t, log))
		checkTold(t, log, again)
	})
}

// checkTold compares what was told to everybody, on the topics, with what the report says, and with itself.
func checkTold(t *testing.T, log *client, e evidence) {
	t.Helper()
	issued := map[string]string{} // of an invitation: the JWS
	for _, m := range messages[*schemas.Certificate](t, log, schemas.TopicCertificates) {
		invitation := m.body.GetTerms().GetInvitationId()
		if other, again := issued[invitation]; again && other != m.body.GetJws() {
			t.Errorf("invitation %s has two certificates", invitation)
		}
		issued[invitation] = m.body.GetJws()
	}
	if want := bytes.Count(e.certificates, []byte("\n")); len(issued) != want {
		t.Errorf("topic certificates holds %d, the file %d", len(issued), want)
	}
	for invitation, jws := range issued {
		if !bytes.Contains(e.certificates, []byte(`"invitation_id":"`+invitation+`","jws":"`+jws+`"`)) {
			t.Errorf("the certificate of invitation %s stands on the topic, but not so in the file", invitation)
		}
	}
	refused := map[string]schemas.Reason{} // of an invitation's content
	for _, m := range messages[*schemas.Refusal](t, log, schemas.TopicRefusals) {
		content := fmt.Sprintf("%s %x", m.body.GetInvitationId(), m.body.GetContentDigest())
		if other, again := refused[content]; again && other != m.body.GetReason() {
			t.Errorf("content %s was refused for %v and for %v", content, other, m.body.GetReason())
		}
		refused[content] = m.body.GetReason()
	}
	for _, m := range messages[*schemas.Certificate](t, log, schemas.TopicCertificates) {
		content := fmt.Sprintf("%s %x", m.body.GetTerms().GetInvitationId(), m.body.GetTerms().GetContentDigest())
		if reason, also := refused[content]; also {
			t.Errorf("content %s was certified, and refused for %v", content, reason)
		}
	}
	for _, m := range messages[*schemas.DeadLetter](t, log, schemas.TopicDeadLetters) {
		t.Errorf("there is a dead letter of %s/%d/%d: %s", m.body.GetTopic(), m.body.GetPartition(), m.body.GetOffset(),
			m.body.GetOriginal().GetReason())
	}
}
