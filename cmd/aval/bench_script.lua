-- A bare script of the same work: holds and their captures, decided in one call, and nothing else: no protocol, no
-- answers, no journal. A hold that is captured in the same call leaves no row, as in the accounts book.
--
-- KEYS[1] accounts HASH account -> "LEDGER FROZEN"    KEYS[2] seen HASH identifier -> digest
-- ARGV[1] whether identifiers are remembered, so that a repeat changes nothing: 1 or 0
-- ARGV    of each pair: account, hold, capture, amount
-- Returns how many pairs were done

local FIRST, FIELDS = 2, 4
local remember = ARGV[1] == '1'

local CHUNK = 1000
local accounts, fields, ids = {}, {}, {}
for i = FIRST, #ARGV, FIELDS do
  if accounts[ARGV[i]] == nil then
    accounts[ARGV[i]] = false
    fields[#fields + 1] = ARGV[i]
  end
  ids[#ids + 1] = ARGV[i + 1]
  ids[#ids + 1] = ARGV[i + 2]
end

-- read(key, fields, visit): visits each field with its value.
local function read(key, names, visit)
  for at = 1, #names, CHUNK do
    local last = math.min(at + CHUNK - 1, #names)
    local rows = redis.call('HMGET', key, unpack(names, at, last))
    for i = at, last do
      visit(names[i], rows[i - at + 1])
    end
  end
end

local function write(key, puts)
  for at = 1, #puts, CHUNK do
    redis.call('HSET', key, unpack(puts, at, math.min(at + CHUNK - 1, #puts)))
  end
end

read(KEYS[1], fields, function(field, row)
  local ledger, frozen = string.match(row or '1000000000000 0', '^(%S+) (%S+)$')
  accounts[field] = { tonumber(ledger), tonumber(frozen) }
end)
local known = {}
if remember then
  read(KEYS[2], ids, function(id, row)
    known[id] = row
  end)
end
local done, balances, seen = 0, {}, {}
for i = FIRST, #ARGV, FIELDS do
  local a, hold, capture, amount = accounts[ARGV[i]], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  if not known[hold] and a[1] - a[2] >= amount then
    a[2] = a[2] + amount
    seen[#seen + 1], seen[#seen + 2] = hold, hold
  end
  if not known[capture] and a[2] >= amount then
    a[1], a[2] = a[1] - amount, a[2] - amount
    seen[#seen + 1], seen[#seen + 2] = capture, capture
    done = done + 1
  end
end
for _, field in ipairs(fields) do
  balances[#balances + 1] = field
  balances[#balances + 1] = string.format('%.0f %.0f', accounts[field][1], accounts[field][2])
end
write(KEYS[1], balances)
if remember then
  write(KEYS[2], seen)
end
return done
