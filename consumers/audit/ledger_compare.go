package audit

import (
	"maps"
	"slices"

	"github.com/aval-systems/aval/schemas"
)

// changed takes what an item says it has written, and compares it with what the movement means.
func (l *ledger) changed(d *schemas.Decision, t touched) {
	accounts, holds := rowsOf(d)
	sums := map[string]int64{}
	for _, id := range slices.Sorted(maps.Keys(accounts)) {
		row, err := parseAccount(accounts[id])
		if err != nil {
			l.wrong("I-23", "account %s: %v", id, err)
			continue
		}
		sums[row.Currency] += row.Signed() - l.written[id].Signed()
		l.written[id] = row
		l.bounds(id, row)
	}
	for _, currency := range slices.Sorted(maps.Keys(sums)) {
		if sums[currency] != 0 {
			l.wrong("I-1", "the postings in %s sum to %d, not to zero", currency, sums[currency])
		}
	}
	for _, id := range slices.Sorted(maps.Keys(holds)) {
		l.rewrite(id, holds[id])
	}
	if t.hold != "" {
		holds[t.hold] = ""
	}
	for _, id := range slices.Sorted(maps.Keys(holds)) {
		l.sameHold(id, l.rows[id])
	}
	for _, id := range t.accounts {
		accounts[id] = ""
	}
	for _, id := range slices.Sorted(maps.Keys(accounts)) {
		l.sameAccount(id, l.written[id])
		l.sameReserved(id, l.written[id], l.reserved[id])
	}
}

// rowsOf returns the last row that an item writes of each account and each hold.
func rowsOf(d *schemas.Decision) (accounts, holds map[string]string) {
	accounts, holds = map[string]string{}, map[string]string{}
	for _, c := range d.GetChanges() {
		switch c.GetTable() {
		case tableAccounts:
			accounts[c.GetField()] = c.GetValue()
		case tableHolds:
			holds[c.GetField()] = c.GetValue()
		}
	}
	return accounts, holds
}

// rewrite takes a row of a hold, or its removal.
func (l *ledger) rewrite(id, text string) {
	before := l.rows[id]
	l.reserved[before.account] -= before.remaining()
	delete(l.rows, id)
	if text == "" {
		return
	}
	row, err := parseHold(text)
	if err != nil {
		l.wrong("I-23", "hold %s: %v", id, err)
		return
	}
	if fault := row.fault(); fault != "" {
		l.wrong("I-4", "hold %s is %s: %s", id, row, fault)
	}
	l.rows[id] = row
	l.reserved[row.account] += row.remaining()
}

func (l *ledger) bounds(id string, a Account) {
	if excess := a.excess(); excess != "" {
		l.wrong("I-2", "account %s is %s: %s", id, a, excess)
	}
	if !a.exact() {
		l.wrong("I-23", "account %s is %s: beyond 2^53-1", id, a)
	}
}

// sameAccount compares an account as it is written with what the journal means.
func (l *ledger) sameAccount(id string, written Account) {
	own := l.own[id]
	switch {
	case own == nil:
		l.wrong("I-16", "account %s is %s, and nobody has opened it", id, written)
	case *own != written:
		l.wrong("I-16", "account %s is %s, the journal means %s", id, written, own)
		l.bounds(id, *own)
	}
}

// sameHold compares a hold as it is written, or not, with what the journal means.
func (l *ledger) sameHold(id string, written holdRow) {
	own := l.holds[id]
	switch {
	case own == nil:
		l.wrong("I-16", "hold %s is %s, and nobody has made it", id, written)
	case own.remaining() == 0 && written == holdRow{}:
	case own.holdRow != written:
		l.wrong("I-16", "hold %s is %s, the journal means %s", id, written, own.holdRow)
		if own.remaining() < 0 {
			l.wrong("I-4", "more is captured and released of hold %s than it had: %s", id, own.holdRow)
		}
	}
}

func (l *ledger) sameReserved(id string, a Account, live int64) {
	if a.Reserved() != live {
		l.wrong("I-3", "account %s has %d frozen or held, its live holds have %d left",
			id, a.Reserved(), live)
	}
}

// compare holds Redis against what the journal means, at one position.
func (l *ledger) compare(tables map[string]map[string]string) map[string]Account {
	l.where = redisPlace(BookAccounts, l.number, tableHolds)
	live := l.compareHolds(tables[tableHolds])
	l.where = redisPlace(BookAccounts, l.number, tableAccounts)
	accounts := l.compareAccounts(tables[tableAccounts])
	for _, id := range slices.Sorted(maps.Keys(l.own)) {
		if _, ok := tables[tableAccounts][id]; !ok {
			l.wrong("I-16", "account %s is not there, the journal means %s", id, l.own[id])
		}
		if _, ok := live[id]; !ok {
			live[id] = 0
		}
	}
	for _, id := range slices.Sorted(maps.Keys(live)) {
		l.sameReserved(id, accounts[id], live[id])
	}
	return accounts
}

// compareHolds returns what the rows have left, by account.
func (l *ledger) compareHolds(rows map[string]string) map[string]int64 {
	live := map[string]int64{}
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		row, err := parseHold(rows[id])
		if err != nil {
			l.wrong("I-23", "hold %s: %v", id, err)
			continue
		}
		if fault := row.fault(); fault != "" {
			l.wrong("I-4", "hold %s is %s: %s", id, row, fault)
		}
		live[row.account] += row.remaining()
		l.sameHold(id, row)
	}
	for _, id := range slices.Sorted(maps.Keys(l.holds)) {
		h := l.holds[id]
		if h.met = h.remaining(); h.met > 0 && rows[id] == "" {
			l.wrong("I-16", "hold %s is not there, the journal means %s", id, h.holdRow)
		}
	}
	return live
}

func (l *ledger) compareAccounts(rows map[string]string) map[string]Account {
	accounts := map[string]Account{}
	sums, reserved := map[string]int64{}, map[string]int64{}
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		row, err := parseAccount(rows[id])
		if err != nil {
			l.wrong("I-23", "account %s: %v", id, err)
			continue
		}
		accounts[id] = row
		sums[row.Currency] += row.Signed()
		reserved[row.Currency] += row.Reserved()
		l.bounds(id, row)
		l.sameAccount(id, row)
	}
	for _, currency := range slices.Sorted(maps.Keys(sums)) {
		if sums[currency] != 0 {
			l.wrong("I-1", "all accounts in %s sum to %d, not to zero", currency, sums[currency])
		}
	}
	l.facts.reserved[l.number] = reserved
	return accounts
}
