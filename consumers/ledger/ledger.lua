-- The accounts book: decides every movement of money in its shard.
--
-- A command has the fields VERB to CONTRA below; an unused one is empty. What the rows of the tables hold
-- stands in account.go. The answer is a word, and of a refusal its reason: done | refused insufficient |
-- repeat | conflict.
--
-- Every done command moves as much into accounts as out of them (a deposit or internal account counts its
-- ledger, a credit account what is drawn, below zero), so the sum over all accounts stays zero.
-- Amounts are whole numbers and become text only in s.number. A sum or a difference is made only where it
-- is known to lie between -MAX and MAX: so it is exact, and so is what is compared.

local book = { tables = { 'accounts', 'holds' }, rotating = {}, width = 11 }

local VERB, ID, TIME, DIGEST, ACCOUNT, AMOUNT = 1, 2, 3, 4, 5, 6
local CURRENCY, KIND, HOLDER, HOLD, CONTRA = 7, 8, 9, 10, 11

local MAX = 9007199254740991 -- 2^53-1, up to where a number is exact: no balance lies further from zero

-- wants declares what the command may read.
function book.wants(c, want)
  if c[VERB] == 'tick' then
    return
  end
  want('accounts', c[ACCOUNT])
  want('holds', c[ID])
  if c[HOLD] ~= '' then
    want('holds', c[HOLD])
  end
  if c[CONTRA] ~= '' then
    want('accounts', c[CONTRA])
  end
end

-- Accounts.

local function account(s, id)
  local row = s.get('accounts', id)
  if not row then
    return nil
  end
  local kind, currency, status, x, y, z, holder, opened =
    string.match(row, '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+)$')
  local a = { id = id, kind = kind, currency = currency, status = status, holder = holder, opened = opened }
  if kind == 'credit' then
    a.limit, a.drawn, a.held = tonumber(x), tonumber(y), tonumber(z)
  else
    a.ledger, a.frozen = tonumber(x), tonumber(y)
  end
  return a
end

-- internal(s, id, currency): an account of the book itself, new on first use.
local function internal(s, id, currency)
  return account(s, id) or {
    id = id, kind = 'internal', currency = currency, status = 'open',
    ledger = 0, frozen = 0, holder = '-', opened = '-',
  }
end

local function save(s, a)
  local x, y, z = a.ledger, a.frozen, 0
  if a.kind == 'credit' then
    x, y, z = a.limit, a.drawn, a.held
  end
  local row = { a.kind, a.currency, a.status, s.number(x), s.number(y), s.number(z), a.holder, a.opened }
  s.set('accounts', a.id, table.concat(row, ' '))
end

local function available(a)
  if a.kind == 'credit' then
    return a.limit - a.drawn - a.held
  end
  return a.ledger - a.frozen
end

-- usable(a, c): nil, or why money of the command's currency may not newly move on the account.
local function usable(a, c)
  if not a then
    return 'refused account-unknown'
  end
  if a.status ~= 'open' then
    return 'refused account-blocked'
  end
  if a.currency ~= c[CURRENCY] then
    return 'refused account-currency'
  end
  return nil
end

-- can_add, can_take: does the balance stay within MAX? They do not make the sum itself, which might not be
-- exact.
local function can_add(balance, x)
  return balance <= MAX - x
end

local function can_take(balance, x)
  return balance >= x - MAX
end

-- Holds.

local function hold(s, id)
  local row = s.get('holds', id)
  if not row then
    return nil
  end
  local owner, amount, captured, released, digest = string.match(row, '^(%S+) (%S+) (%S+) (%S+) (%S+)$')
  local h = { id = id, account = owner, amount = tonumber(amount), captured = tonumber(captured),
    released = tonumber(released), digest = digest }
  h.remaining = h.amount - h.captured - h.released
  return h
end

-- keep(s, h): a hold that has something left is live; of an ended one only its identifier is remembered.
local function keep(s, h)
  if h.amount == h.captured + h.released then
    s.del('holds', h.id)
    s.remember(h.id, h.digest, 'done')
    return
  end
  local row = { h.account, s.number(h.amount), s.number(h.captured), s.number(h.released), h.digest }
  s.set('holds', h.id, table.concat(row, ' '))
end

-- Verbs: each checks everything, then writes.

local verbs = {}

function verbs.open(c, s)
  local x = tonumber(c[AMOUNT])
  local a = { id = c[ACCOUNT], kind = c[KIND], currency = c[CURRENCY], status = 'open',
    holder = c[HOLDER], opened = c[DIGEST] }
  if a.kind == 'credit' then
    a.limit, a.drawn, a.held = x, 0, 0
    save(s, a)
    return 'done'
  end
  a.ledger, a.frozen = x, 0
  if x > 0 then
    local contra = internal(s, c[CONTRA], c[CURRENCY])
    if not can_take(contra.ledger, x) then
      return 'refused over-limit'
    end
    contra.ledger = contra.ledger - x
    save(s, contra)
  end
  save(s, a)
  return 'done'
end

function verbs.credit(c, s)
  local x, a = tonumber(c[AMOUNT]), account(s, c[ACCOUNT])
  local why = usable(a, c)
  if why then
    return why
  end
  if a.kind == 'credit' and x > a.drawn then
    return 'refused excess'
  end
  local contra = internal(s, c[CONTRA], c[CURRENCY])
  if not can_take(contra.ledger, x) or a.kind ~= 'credit' and not can_add(a.ledger, x) then
    return 'refused over-limit'
  end
  if a.kind == 'credit' then
    a.drawn = a.drawn - x
  else
    a.ledger = a.ledger + x
  end
  contra.ledger = contra.ledger - x
  save(s, a)
  save(s, contra)
  return 'done'
end

function verbs.debit(c, s)
  local x, a = tonumber(c[AMOUNT]), account(s, c[ACCOUNT])
  local why = usable(a, c)
  if why then
    return why
  end
  if available(a) < x then
    return 'refused insufficient'
  end
  local contra = internal(s, c[CONTRA], c[CURRENCY])
  if not can_add(contra.ledger, x) then
    return 'refused over-limit'
  end
  if a.kind == 'credit' then
    a.drawn = a.drawn + x
  else
    a.ledger = a.ledger - x
  end
  contra.ledger = contra.ledger + x
  save(s, a)
  save(s, contra)
  return 'done'
end

local function mark(c, s, status)
  local a = account(s, c[ACCOUNT])
  if not a then
    return 'refused account-unknown'
  end
  if a.status == status then
    return 'refused unchanged'
  end
  a.status = status
  save(s, a)
  return 'done'
end

function verbs.block(c, s)
  return mark(c, s, 'blocked')
end

function verbs.unblock(c, s)
  return mark(c, s, 'open')
end

function verbs.vouch(c, s)
  local a = account(s, c[ACCOUNT])
  local why = usable(a, c)
  if why then
    return why
  end
  if a.holder ~= c[HOLDER] then
    return 'refused account-holder'
  end
  return 'done'
end

-- hold: what it adds to stays at most the ledger, or the limit: it cannot be over MAX.
function verbs.hold(c, s)
  local x, a = tonumber(c[AMOUNT]), account(s, c[ACCOUNT])
  local why = usable(a, c)
  if why then
    return why
  end
  if a.holder ~= c[HOLDER] then
    return 'refused account-holder'
  end
  if a.kind ~= c[KIND] then
    return 'refused account-kind'
  end
  if available(a) < x then
    return 'refused insufficient'
  end
  if a.kind == 'credit' then
    a.held = a.held + x
  else
    a.frozen = a.frozen + x
  end
  save(s, a)
  keep(s, { id = c[ID], account = a.id, amount = x, captured = 0, released = 0, digest = c[DIGEST] })
  return 'done'
end

-- capture: also of a blocked account, since the bank's undertaking stands.
function verbs.capture(c, s)
  local x, h = tonumber(c[AMOUNT]), hold(s, c[HOLD])
  if not h or h.account ~= c[ACCOUNT] then
    return 'refused hold-unknown'
  end
  local a = account(s, c[ACCOUNT])
  if a.currency ~= c[CURRENCY] then
    return 'refused account-currency'
  end
  if x > h.remaining then
    return 'refused excess'
  end
  local contra = internal(s, c[CONTRA], c[CURRENCY])
  if not can_add(contra.ledger, x) then
    return 'refused over-limit'
  end
  if a.kind == 'credit' then
    a.held, a.drawn = a.held - x, a.drawn + x
  else
    a.frozen, a.ledger = a.frozen - x, a.ledger - x
  end
  contra.ledger = contra.ledger + x
  h.captured = h.captured + x
  save(s, a)
  save(s, contra)
  keep(s, h)
  return 'done'
end

function verbs.release(c, s)
  local h = hold(s, c[HOLD])
  if not h or h.account ~= c[ACCOUNT] then
    return 'refused hold-unknown'
  end
  local a = account(s, c[ACCOUNT])
  if a.kind == 'credit' then
    a.held = a.held - h.remaining
  else
    a.frozen = a.frozen - h.remaining
  end
  h.released = h.released + h.remaining
  save(s, a)
  keep(s, h)
  return 'done'
end

-- stands(c, s): nil, or repeat or conflict: what stands under the command's identifier, or, of an open,
-- under its account. A live hold is its own memory.
local function stands(c, s)
  local h = hold(s, c[ID])
  if h then
    return h.digest == c[DIGEST] and 'repeat' or 'conflict'
  end
  local word = s.seen(c[ID], c[DIGEST])
  if word then
    return word
  end
  local a = c[VERB] == 'open' and account(s, c[ACCOUNT])
  if a then
    return a.opened == c[DIGEST] and 'repeat' or 'conflict'
  end
  return nil
end

-- decide answers the command, and remembers what was done and what was refused; not what came too late, which
-- stays too late.
function book.decide(c, s)
  local word = stands(c, s) or s.untimely(c)
  if word then
    return word
  end
  word = verbs[c[VERB]](c, s)
  if c[VERB] == 'hold' and word == 'done' then
    return word
  end
  return s.remember(c[ID], c[DIGEST], word)
end
