package main

// mutant is a fault: in the file the text old, which stands there once, is replaced by new.
type mutant struct {
	name  string
	file  string
	old   string
	new   string
	tests []string // packages whose tests may notice it, too
	// unseen says that the simulator cannot: what is wrong lies outside of what it runs.
	unseen bool
}

const (
	decide      = "pipeline/book/decide.lua"
	protocol    = "pipeline/book/protocol.lua"
	owner       = "pipeline/book/owner.go"
	runner      = "pipeline/book/runner.go"
	follow      = "pipeline/follow.go"
	journal     = "pipeline/journal.go"
	ledger      = "consumers/ledger/ledger.lua"
	bookTests   = "./pipeline/book"
	ledgerTests = "./consumers/ledger"
	flowTests   = "./consumers/certificate"
)

// table is all faults that are tried.
func table() []mutant {
	return append(append(protocolFaults(), recoveryFaults()...), flowFaults()...)
}

// protocolFaults are those of the script that decides.
func protocolFaults() []mutant {
	return []mutant{
		{
			name: "skip the position check", file: decide, tests: []string{bookTests},
			old: "if header.at ~= from or header.digest ~= digest then\n  if header.last_from",
			new: "if false then\n  if header.last_from",
		},
		{
			name: "ignore the digest", file: decide, tests: []string{bookTests},
			old: "if header.at ~= from or header.digest ~= digest then\n  if header.last_from",
			new: "if header.at ~= from then\n  if header.last_from",
		},
		{
			name: "ignore the last answer", file: decide, tests: []string{bookTests},
			old: "if header.last_from == from and header.last_digest == digest then",
			new: "if false then",
		},
		{
			name: "apply blindly", file: protocol, tests: []string{bookTests},
			old: "  if header.at ~= from or header.digest ~= digest then\n    return mismatch()\n  end\n  local first",
			new: "  local first",
		},
		{
			name: "reset without a guard", file: protocol, tests: []string{bookTests},
			old: "if header.epoch ~= epoch or header.generation ~= ARGV[3] then",
			new: "if step ~= 'reset' and (header.epoch ~= epoch or header.generation ~= ARGV[3]) then",
		},
		{
			name: "let a former owner enter", file: protocol, tests: []string{bookTests},
			old: "  if header.epoch ~= '' and earlier(epoch, header.epoch) then\n" +
				"    return { 'fenced', header.epoch }\n  end\n  if header.history",
			new: "  if header.history",
		},
		{
			name: "ignore what an identifier stands for", file: decide, tests: []string{ledgerTests},
			old: "  if not row then\n    return nil\n  end\n  local token",
			new: "  do\n    return nil\n  end\n  local token",
		},
		{
			name: "same identifier, content not compared", file: decide, tests: []string{ledgerTests},
			old: "  if sub(row, 1, #token) ~= token then", new: "  if false then",
		},
		{
			name: "forget refusals", file: ledger, tests: []string{ledgerTests},
			old: "  return s.remember(c, word)\nend",
			new: "  return word == 'done' and s.remember(c, word) or word\nend",
		},
		{
			name: "> for >=", file: ledger, tests: []string{ledgerTests},
			old: "  if available(a) < x then\n    return 'refused insufficient'\n  end\n  set_reserved",
			new: "  if available(a) <= x then\n    return 'refused insufficient'\n  end\n  set_reserved",
		},
		{
			name: "a refusal leaks its hold", file: ledger, tests: []string{ledgerTests},
			old: "  if available(a) < x then\n    return 'refused insufficient'\n  end\n" +
				"  set_reserved(s, a, a.reserved + x)\n  save(s, a)",
			new: "  local enough = available(a) >= x\n  set_reserved(s, a, a.reserved + x)\n  save(s, a)\n" +
				"  if not enough then\n    return 'refused insufficient'\n  end",
		},
		{
			name: "release a hold twice", file: ledger, tests: []string{ledgerTests},
			old: "keep(s, c, amount, captured, released + remaining, token)",
			new: "keep(s, c, amount, captured, released, token)",
		},
	}
}

// recoveryFaults are those of whoever runs a book, and of who reads its journal.
func recoveryFaults() []mutant {
	return []mutant{
		{
			name: "decide again on recovery", file: owner, tests: []string{bookTests},
			old: "\tif from.To == tail.To {\n\t\tr.settle(o, tail)",
			new: "\tif true {\n\t\tr.settle(o, from)",
		},
		{
			name: "recover without the digest", file: owner, tests: []string{bookTests},
			old: "if p.To == header.At && p.Digest == header.Digest {", new: "if p.To == header.At {",
		},
		{
			name: "the last answer is of this batch", file: runner, tests: []string{bookTests},
			old: "if answer.Last && answer.To != to {", new: "if false {",
		},
		{
			name: "go on after an entry that was not acknowledged", file: runner, tests: []string{bookTests},
			old: "\t\to.lost = true // refused, or nobody knows: the next owner of the shard reads what became of it",
			new: "",
		},
		{
			name: "write on where somebody else does", file: runner, tests: []string{bookTests},
			old: "if base != o.end {", new: "if false {",
		},
		{
			name: "decide what stands under another's key", file: runner, tests: []string{bookTests},
			old: "return fields, pipeline.CheckKey(p.in, r.Partitions)", new: "return fields, nil",
		},
		{
			name: "read entries that do not count", file: journal, tests: []string{"./pipeline", bookTests},
			old: "j.counts = e.Epoch == j.Epoch && e.From == j.To", new: "j.counts = true",
		},
		{
			name: "read entries of former owners", file: journal, tests: []string{"./pipeline", bookTests},
			old: "j.counts = e.Epoch == j.Epoch && e.From == j.To", new: "j.counts = e.From == j.To",
		},
		{
			name: "commit the highest offset", file: "consumers/notice/window.go",
			tests: []string{"./consumers/notice"}, unseen: true,
			old: "\tif len(w.open) > 0 {\n\t\treturn pipeline.Mark", new: "\tif false {\n\t\treturn pipeline.Mark",
		},
		{
			name: "write journals with acks=1", file: "pipeline/kafka/sender.go", tests: []string{"./pipeline/kafka"},
			old: "acksAll         = -1", new: "acksAll         = 1", unseen: true,
		},
	}
}

// flowFaults are those of stages and messages.
func flowFaults() []mutant {
	return []mutant{
		{
			name: "acknowledge what is not published", file: follow, tests: []string{"./pipeline"},
			old: "return fmt.Errorf(\"publish what follows: %w\", &ServerError{Server: ServerKafka, Err: err})",
			new: "_ = &ServerError{Server: ServerKafka, Err: err}",
		},
		{
			name: "the clock in a stage", file: follow, tests: []string{"./pipeline", flowTests},
			old: "Cause: in.ID, Time: in.Time, Trace", new: "Cause: in.ID, Time: time.Now().UTC(), Trace",
		},
		{
			name: "a random identifier", file: follow, tests: []string{"./pipeline", flowTests},
			old: "ID: out.ID, Source:", new: "ID: schemas.DeriveID(out.ID, time.Now().String()), Source:",
		},
		{
			name: "drop what nobody can read", file: follow, tests: []string{"./pipeline"},
			old: "dead := DeadLetter(s.Name, *record, err.Error())\n\t\treturn In{}, &dead, false",
			new: "return In{}, nil, false",
		},
		{
			name: "the content's digest skips the amount", file: "schemas/digest.go", tests: []string{"./schemas"},
			old: "	d.money(7, x.GetAmount())\n", new: "",
		},
		{
			name: "terms' digest skips the account", file: "schemas/digest.go", tests: []string{"./schemas"},
			old: "	d.text(11, x.GetIssuingAccount())\n", new: "", unseen: true,
		},
		{
			name: "hold for another holder", file: "consumers/certificate/funding.go", tests: []string{flowTests},
			old: "Holder: request.GetRequest().GetBuyer(),", new: "Holder: terms.GetBuyer() + \"x\",",
		},
		{
			name: "tell the seller what the buyer has", file: "consumers/certificate/tell.go",
			tests: []string{flowTests}, unseen: true,
			old: "\tif reason == schemas.Reason_REASON_INSUFFICIENT ||", new: "\tif false &&",
		},
		{
			name: "repeat a script that may have run", file: "cmd/aval/redis.go", tests: []string{"./cmd/aval"},
			old: "MaxRetries: -1", new: "MaxRetries: 3", unseen: true,
		},
	}
}
