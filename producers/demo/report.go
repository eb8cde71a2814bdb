package demo

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strconv"

	"github.com/go-jose/go-jose/v4"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/producers/batch"
	"github.com/aval-systems/aval/schemas"
)

// report writes the files and sums up, after every row has its answer. The files come first: what was decided is
// told, whether it can be checked now or not.
func (r *run) report(ctx context.Context) (Summary, error) {
	s := newSummary(r)
	if err := r.writeReport(s); err != nil {
		return Summary{}, err
	}
	if err := r.writeCertificates(ctx); err != nil {
		return Summary{}, err
	}
	r.Progress.Stage("check and read the accounts", 0)
	audit, err := r.deps.Audit(ctx)
	r.Progress.Done()
	if err != nil {
		return Summary{}, fmt.Errorf("audit: %w", err)
	}
	s.Invariants = Invariants{Checked: audit.Checked, Violated: audit.Violated}
	if err := r.addFrozen(s, audit); err != nil {
		return Summary{}, err
	}
	s.Seconds = seconds(r.Now().Sub(r.began))
	if audit.Violated > 0 {
		return s.finish(), ViolatedError{Details: audit.Details, Violated: audit.Violated}
	}
	return s.finish(), nil
}

// writeReport writes a line for each row, and counts.
func (r *run) writeReport(s *sums) error {
	return toFile(r.Report, func(w io.Writer) error {
		out := batch.NewWriter(w)
		if err := out.Write("line", "order_id", "seller_id", "buyer_id", "amount", "currency",
			"invitation_id", "certificate_id", "outcome", "reason"); err != nil {
			return err
		}
		first := map[string]struct{}{} // deals whose first valid row was met
		err := r.orders(func(row batch.Row, order batch.Order, reason string) error {
			invitation, answer := "", Answer{Outcome: Invalid, Reason: reason}
			if reason == "" {
				x := invitationOf(order, r.version)
				var ok bool
				if answer, ok = r.tracker.Report(x.GetId(), schemas.ContentDigest(x)); !ok {
					return fmt.Errorf("%s, line %d has no answer: the file was changed meanwhile", r.Orders, row.Line)
				}
				invitation = x.GetId()
				if _, again := first[invitation]; !again {
					first[invitation] = struct{}{}
					s.add(order.Money, answer.Outcome)
				}
			}
			s.Outcomes[answer.Outcome]++
			return out.Write(strconv.Itoa(row.Line), row.OrderID, row.SellerID, row.BuyerID, row.Amount, row.Currency,
				invitation, answer.Certificate, string(answer.Outcome), answer.Reason)
		})
		return errors.Join(err, out.Flush())
	})
}

// addFrozen adds up what is frozen on the accounts of the file's buyers.
func (r *run) addFrozen(s *sums, audit Audit) error {
	for id, account := range r.tracker.accounts {
		if bank, _ := schemas.BankOf(id); bank != IssuingBank {
			continue
		}
		minor, ok := audit.Frozen(id)
		if !ok {
			return fmt.Errorf("account %s was opened but is not among the accounts", id)
		}
		currency := account.open.GetFunds().GetCurrency()
		s.frozen[currency].Add(s.frozen[currency], big.NewInt(minor))
	}
	return nil
}

// certificateLine is a line of the file of certificates.
type certificateLine struct {
	CertificateID string `json:"certificate_id"`
	InvitationID  string `json:"invitation_id"`
	JWS           string `json:"jws"`
}

// writeCertificates writes the certificates of the file's orders, as they stand in the log, and the public
// keys of all banks.
func (r *run) writeCertificates(ctx context.Context) error {
	if r.Certificates == "" {
		return nil
	}
	r.Progress.Stage("write certificates", r.tracker.reported)
	defer r.Progress.Done()
	err := toFile(r.Certificates, func(w io.Writer) error {
		out := json.NewEncoder(w)
		written := map[string]struct{}{}
		for partition := range r.Partitions {
			err := r.certificates(ctx, partition, func(c *schemas.Certificate) error {
				if _, again := written[c.GetId()]; again || !r.tracker.isReported(c) {
					return nil
				}
				written[c.GetId()] = struct{}{}
				r.Progress.Add(1)
				return out.Encode(certificateLine{c.GetId(), c.GetTerms().GetInvitationId(), c.GetJws()})
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return toFile(r.Certificates+".jwks", func(w io.Writer) error {
		out := json.NewEncoder(w)
		out.SetIndent("", "  ")
		return out.Encode(keySet(r.directory))
	})
}

// certificates visits a partition of the certificates.
func (r *run) certificates(ctx context.Context, partition int, visit func(*schemas.Certificate) error) error {
	next := int64(-1)
	return patiently(ctx, r.Logger, "read certificates", func() error {
		first, end, err := r.deps.Log.Bounds(ctx, schemas.TopicCertificates, partition)
		if err != nil {
			return err
		}
		next = max(next, first)
		read := func(records []pipeline.Record) error {
			for _, record := range records {
				in, err := pipeline.Decode(record)
				if c, ok := in.Body.(*schemas.Certificate); ok && err == nil {
					if err := visit(c); err != nil {
						return finalError{err}
					}
				}
				next = record.Offset + 1
			}
			return nil
		}
		return r.deps.Log.Read(ctx, schemas.TopicCertificates, partition, next, end, read)
	})
}

// keySet is the public keys of a directory, for any JOSE library.
func keySet(d *schemas.Directory) jose.JSONWebKeySet {
	var set jose.JSONWebKeySet
	for _, p := range d.GetParticipants() {
		for _, key := range p.GetKeys() {
			set.Keys = append(set.Keys, jose.JSONWebKey{
				Key: ed25519.PublicKey(key.GetEd25519()), KeyID: key.GetId(), Algorithm: string(jose.EdDSA), Use: "sig",
			})
		}
	}
	return set
}
