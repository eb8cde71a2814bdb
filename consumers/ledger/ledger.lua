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

local book = { plain = { 'accounts' }, packed = { 'holds' }, rotating = {} }

local VERB, ID, DIGEST, ACCOUNT, AMOUNT = 1, 2, 4, 5, 6
local CURRENCY, KIND, HOLDER, HOLD, CONTRA = 7, 8, 9, 10, 11
local HOLD_KEY, HOLD_BUCKET = TOKEN + 1, TOKEN + 2

local MAX = 9007199254740991 -- 2^53-1, up to where a number is exact: no balance lies further from zero

-- Accounts. A balance is the ledger, of a credit account what is drawn; reserved is what is frozen, or held. Both are
-- kept as text too. What else a row says stands before them, in head, and behind them, in tail.

local accounts = {} -- as they are now, of those that were read

local function head(a)
  local text = a.kind .. ' ' .. a.currency .. ' ' .. a.status .. ' '
  return a.limit_text and text .. a.limit_text .. ' ' or text
end

local function account(s, id)
  local a = accounts[id]
  if a then
    return a
  end
  local row = s.read('accounts', id)
  if not row then
    return nil
  end
  local kind, currency, status, x, second, y, third, z = string.match(row, '^(%a+) (%u+) (%a+) (%-?%d+)() (%d+)() (%d+)')
  a = { id = id, kind = kind, currency = currency, status = status }
  if kind == 'credit' then
    a.limit, a.limit_text, a.balance_text, a.reserved_text = x + 0, x, y, z
    a.tail = string.sub(row, third + 1 + #z)
  else
    a.balance_text, a.reserved_text = x, y
    a.tail = string.sub(row, third)
  end
  a.balance, a.reserved = a.balance_text + 0, a.reserved_text + 0
  a.head = head(a)
  accounts[id] = a
  return a
end

-- internal(s, id, currency): an account of the book itself, new on first use.
local function internal(s, id, currency)
  return account(s, id) or {
    id = id, kind = 'internal', currency = currency, head = 'internal ' .. currency .. ' open ', tail = ' 0 - -',
    balance = 0, balance_text = '0', reserved = 0, reserved_text = '0',
  }
end

-- holder(a), opened(a): the digests of who holds the account, and of what opened it; else than of an internal one.
local function holder(a)
  return string.sub(a.tail, -65, -34)
end

local function opened(a)
  return string.sub(a.tail, -32)
end

local changed = {} -- accounts, in order

local function mark_changed(a)
  if not a.changed then
    a.changed = true
    changed[#changed + 1] = a
  end
end

local function save(s, a)
  accounts[a.id] = a
  mark_changed(a)
  s.tell('accounts', a.id, a.head .. a.balance_text .. ' ' .. a.reserved_text .. a.tail)
end

-- finish writes what became of the accounts.
function book.finish(s)
  for _, a in ipairs(changed) do
    s.keep('accounts', a.id, a.head .. a.balance_text .. ' ' .. a.reserved_text .. a.tail)
  end
end

local function set_balance(s, a, x)
  a.balance, a.balance_text = x, s.number(x)
end

local function set_reserved(s, a, x)
  a.reserved, a.reserved_text = x, s.number(x)
end

local function available(a)
  if a.limit then
    return a.limit - a.balance - a.reserved
  end
  return a.balance - a.reserved
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

-- hold(s, c, k, i): of the live hold with the key k in the bucket i: account, amount, captured, released and the
-- digest's token. Mostly it is as it was made, and the command is of its account and of all of its amount.
local function hold(s, c, k, i)
  local row = s.get('holds', k, i)
  if not row then
    return nil
  end
  local whole = c[ACCOUNT] .. ' ' .. c[AMOUNT] .. ' 0 0 '
  if string.sub(row, 1, #whole) == whole then
    return c[ACCOUNT], c[AMOUNT] + 0, 0, 0, string.sub(row, #whole + 1)
  end
  local owner, amount, captured, released, token = string.match(row, '^(%S+) (%d+) (%d+) (%d+) ()')
  return owner, amount + 0, captured + 0, released + 0, string.sub(row, token)
end

-- keep(s, c, amount, captured, released, token): a hold that has something left stays live; of an ended one only its
-- identifier is remembered.
local function keep(s, c, amount, captured, released, token)
  local k, i, digest = c[HOLD_KEY], c[HOLD_BUCKET], s.hex(token)
  if amount == captured + released then
    s.turn('holds', 'seen', c[HOLD], k, i, digest, token)
    return
  end
  local row = c[ACCOUNT] .. ' ' .. s.amounts(amount, captured, released) .. ' '
  s.set('holds', c[HOLD], k, i, row .. digest, row .. token)
end

-- Verbs: each checks everything, then writes.

local verbs = {}

function verbs.open(c, s)
  local x = c[AMOUNT] + 0
  local a = { id = c[ACCOUNT], kind = c[KIND], currency = c[CURRENCY], status = 'open', balance = 0, balance_text = '0',
    reserved = 0, reserved_text = '0', tail = ' ' .. c[HOLDER] .. ' ' .. c[DIGEST] }
  if a.kind == 'credit' then
    a.limit, a.limit_text = x, c[AMOUNT]
    a.head = head(a)
    save(s, a)
    return 'done'
  end
  a.head, a.tail = head(a), ' 0' .. a.tail
  if x > 0 then
    local contra = internal(s, c[CONTRA], c[CURRENCY])
    if not can_take(contra.balance, x) then
      return 'refused over-limit'
    end
    set_balance(s, contra, contra.balance - x)
    set_balance(s, a, x)
    save(s, contra)
  end
  save(s, a)
  return 'done'
end

function verbs.credit(c, s)
  local x, a = c[AMOUNT] + 0, account(s, c[ACCOUNT])
  local why = usable(a, c)
  if why then
    return why
  end
  if a.limit and x > a.balance then
    return 'refused excess'
  end
  local contra = internal(s, c[CONTRA], c[CURRENCY])
  if not can_take(contra.balance, x) or not a.limit and not can_add(a.balance, x) then
    return 'refused over-limit'
  end
  set_balance(s, a, a.limit and a.balance - x or a.balance + x)
  set_balance(s, contra, contra.balance - x)
  save(s, a)
  save(s, contra)
  return 'done'
end

-- pay(s, a, contra, x): x leaves the account.
local function pay(s, a, contra, x)
  set_balance(s, a, a.limit and a.balance + x or a.balance - x)
  set_balance(s, contra, contra.balance + x)
  save(s, a)
  save(s, contra)
end

function verbs.debit(c, s)
  local x, a = c[AMOUNT] + 0, account(s, c[ACCOUNT])
  local why = usable(a, c)
  if why then
    return why
  end
  if available(a) < x then
    return 'refused insufficient'
  end
  local contra = internal(s, c[CONTRA], c[CURRENCY])
  if not can_add(contra.balance, x) then
    return 'refused over-limit'
  end
  pay(s, a, contra, x)
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
  a.head = head(a)
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
  if holder(a) ~= c[HOLDER] then
    return 'refused account-holder'
  end
  return 'done'
end

-- hold: what it adds to stays at most the ledger, or the limit: it cannot be over MAX.
function verbs.hold(c, s)
  local x, a = c[AMOUNT] + 0, account(s, c[ACCOUNT])
  local why = usable(a, c)
  if why then
    return why
  end
  if holder(a) ~= c[HOLDER] then
    return 'refused account-holder'
  end
  if a.kind ~= c[KIND] then
    return 'refused account-kind'
  end
  if available(a) < x then
    return 'refused insufficient'
  end
  set_reserved(s, a, a.reserved + x)
  save(s, a)
  s.add('holds', c[ID], c[KEY], c[BUCKET], c[ACCOUNT] .. ' ' .. c[AMOUNT] .. ' 0 0 ', c[DIGEST], c[TOKEN])
  return 'done'
end

-- capture: also of a blocked account, since the bank's undertaking stands.
function verbs.capture(c, s)
  local x = c[AMOUNT] + 0
  local owner, amount, captured, released, token = hold(s, c, c[HOLD_KEY], c[HOLD_BUCKET])
  if owner ~= c[ACCOUNT] then
    return 'refused hold-unknown'
  end
  local a = account(s, owner)
  if a.currency ~= c[CURRENCY] then
    return 'refused account-currency'
  end
  if x > amount - captured - released then
    return 'refused excess'
  end
  local contra = internal(s, c[CONTRA], c[CURRENCY])
  if not can_add(contra.balance, x) then
    return 'refused over-limit'
  end
  set_reserved(s, a, a.reserved - x)
  pay(s, a, contra, x)
  keep(s, c, amount, captured + x, released, token)
  return 'done'
end

function verbs.release(c, s)
  local owner, amount, captured, released, token = hold(s, c, c[HOLD_KEY], c[HOLD_BUCKET])
  if owner ~= c[ACCOUNT] then
    return 'refused hold-unknown'
  end
  local a, remaining = account(s, owner), amount - captured - released
  set_reserved(s, a, a.reserved - remaining)
  save(s, a)
  keep(s, c, amount, captured, released + remaining, token)
  return 'done'
end

-- stands(c, s): nil, or repeat or conflict: what stands under the command's identifier, or, of an open,
-- under its account. A live hold is its own memory.
local function stands(c, s)
  if s.known(c[KEY], c[BUCKET]) then
    local live, _, _, _, token = hold(s, c, c[KEY], c[BUCKET])
    if live then
      return token == c[TOKEN] and 'repeat' or 'conflict'
    end
    local word = s.seen(c)
    if word then
      return word
    end
  end
  local a = c[VERB] == 'open' and account(s, c[ACCOUNT])
  if a then
    return opened(a) == c[DIGEST] and 'repeat' or 'conflict'
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
  return s.remember(c, word)
end
