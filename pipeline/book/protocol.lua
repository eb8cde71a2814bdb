-- The protocol of a book: every step is one call of this script, on the keys of one shard.
--
-- KEYS[1]   the header, HASH: epoch, history, generation, at, digest,
--           last_from, last_digest (where the last answer began), last_to, last (the answer)
-- KEYS[2..] the tables of one generation, HASHes, in the order of `tables`
-- ARGV[1]   the step, ARGV[2] the caller's epoch; the rest is said at each step
--
-- All checks, and all decisions, come before the first write: an error leaves everything as it was.
-- No number becomes text but by number(): the rest of Lua would round it.

-- @book

local tables = { 'clock', 'seen0', 'seen1' }
local halves = { 'seen0', 'seen1' } -- in an order: what is written must not depend on a table's
local rotating = { seen = true }
for _, name in ipairs(book.tables) do
  tables[#tables + 1] = name
end
for _, name in ipairs(book.rotating) do
  rotating[name] = true
  halves[#halves + 1] = name .. '0'
  halves[#halves + 1] = name .. '1'
  tables[#tables + 1] = name .. '0'
  tables[#tables + 1] = name .. '1'
end
local key = {}
for i, name in ipairs(tables) do
  key[name] = KEYS[1 + i]
end

local CHUNK = 1000 -- arguments of one call; Lua unpacks some thousands at most

local header = {}
do
  local fields = { 'epoch', 'history', 'generation', 'at', 'digest', 'last_from', 'last_digest', 'last_to', 'last' }
  local values = redis.call('HMGET', KEYS[1], unpack(fields))
  for i, field in ipairs(fields) do
    header[field] = values[i] or ''
  end
end

-- earlier(a, b): is epoch a below epoch b? Both are decimal text without leading zeros.
local function earlier(a, b)
  if #a ~= #b then
    return #a < #b
  end
  return a < b
end

local function mismatch()
  return { 'mismatch', header.at, header.digest, header.epoch }
end

-- What the batch has read and what it will write.
local cache, dirty, dropped = {}, {}, {}
local changes -- of the command that is being decided

local function fetch(wanted)
  for name, set in pairs(wanted) do
    local fields, values = {}, cache[name] or {}
    cache[name] = values
    for field in pairs(set) do
      fields[#fields + 1] = field
    end
    for i = 1, #fields, CHUNK do
      local last = math.min(i + CHUNK - 1, #fields)
      local found = redis.call('HMGET', key[name], unpack(fields, i, last))
      for j = i, last do
        values[fields[j]] = found[j - i + 1]
      end
    end
  end
end

local function put(name, field, value)
  cache[name] = cache[name] or {}
  dirty[name] = dirty[name] or {}
  cache[name][field] = value
  dirty[name][field] = true
end

local function drop(name)
  cache[name], dirty[name], dropped[name] = {}, {}, true
end

local function write()
  for name in pairs(dropped) do
    redis.call('UNLINK', key[name])
  end
  for name, set in pairs(dirty) do
    local puts, dels = {}, {}
    for field in pairs(set) do
      local value = cache[name][field]
      if value then
        puts[#puts + 1] = field
        puts[#puts + 1] = value
      else
        dels[#dels + 1] = field
      end
    end
    for i = 1, #puts, CHUNK do
      redis.call('HSET', key[name], unpack(puts, i, math.min(i + CHUNK - 1, #puts)))
    end
    for i = 1, #dels, CHUNK do
      redis.call('HDEL', key[name], unpack(dels, i, math.min(i + CHUNK - 1, #dels)))
    end
  end
end

-- What a book may use to decide: s.
local s = {}

local function get(name, field)
  local value = cache[name] and cache[name][field]
  if value == nil and not dropped[name] then
    error('read of ' .. name .. ' ' .. field .. ' was not declared')
  end
  return value or nil
end

local function change(name, field, value)
  changes[#changes + 1] = name .. '\t' .. field .. '\t' .. (value or '')
end

local function current()
  return get('clock', 'current') or '0'
end

local function other()
  return current() == '0' and '1' or '0'
end

function s.get(name, field)
  if rotating[name] then
    return get(name .. current(), field) or get(name .. other(), field)
  end
  return get(name, field)
end

function s.set(name, field, value)
  if rotating[name] then
    name = name .. current()
  end
  put(name, field, value)
  change(name, field, value)
end

function s.del(name, field)
  put(name, field, false)
  change(name, field)
end

-- number(n): a whole number of at most 2^53-1 as decimal text, exactly.
function s.number(n)
  return string.format('%.0f', n)
end

-- seen(id, digest): what stands under the identifier: nil, repeat [why], or conflict.
function s.seen(id, digest)
  local row = s.get('seen', id)
  if not row then
    return nil
  end
  if string.sub(row, 1, #digest) ~= digest then
    return 'conflict'
  end
  return 'repeat' .. string.sub(row, #digest + 1)
end

-- remember(id, digest, word): what the identifier stands for; word is done or refused WHY. Returns word.
function s.remember(id, digest, word)
  s.set('seen', id, digest .. (string.match(word, '^refused( .+)$') or ''))
  return word
end

-- untimely(c): nil, or why the command c is refused: what its identifier stood for may be forgotten (stale), or
-- would be before its own time has come (early). Stale stays true and needs no memory. Early would not: so it is
-- remembered under the command's identifier, and who was told it is not contradicted when the same comes again
-- in time; as every refusal is, for two retentions at least: what is sent once more after that is decided anew.
-- A book asks seen() before.
function s.untimely(c)
  local now, retention = get('clock', 'time'), get('clock', 'retention')
  if not now then
    return nil
  end
  local t = tonumber(c[3])
  if t < tonumber(now) - tonumber(retention) then
    return 'refused stale'
  end
  if t > tonumber(now) + tonumber(retention) then
    return s.remember(c[2], c[4], 'refused early')
  end
  return nil
end

-- tick(time, retention): log time becomes time (ms). Every two retentions the older half of what is remembered
-- is forgotten: then it was decided more than two retentions ago, by a command that lay at most one ahead, so
-- that a repeat is refused as stale. The retention is that of the first tick.
--
-- Log time never goes back, and what lies more than a retention behind it is stale for ever: so no tick takes it
-- further than one retention at once, or one wild clock would end the shard. Such a tick is refused as early,
-- and not remembered: it may come again when log time has come near. A timer that finds the shard a long time
-- idle steps through it, a retention at most with each tick. The first tick of a shard may say any time.
function s.tick(time, retention)
  local now, kept = get('clock', 'time'), get('clock', 'retention')
  if now and tonumber(time) <= tonumber(now) then
    return 'refused stale'
  end
  if now and tonumber(time) > tonumber(now) + tonumber(kept) then
    return 'refused early'
  end
  if now and retention ~= kept then
    return 'conflict'
  end
  s.set('clock', 'time', time)
  if not now then
    s.set('clock', 'retention', retention)
    s.set('clock', 'rotated', time)
  elseif tonumber(time) >= tonumber(get('clock', 'rotated')) + 2 * tonumber(retention) then
    local half = other()
    for _, name in ipairs(halves) do
      if string.sub(name, -1) == half then
        drop(name)
        change(name, '')
      end
    end
    s.set('clock', 'rotated', time)
    s.set('clock', 'current', half)
  end
  return 'done'
end

local step, epoch = ARGV[1], ARGV[2]

-- enter HISTORY: the caller becomes the owner, unless a later one did.
if step == 'enter' then
  if header.epoch ~= '' and earlier(epoch, header.epoch) then
    return { 'fenced', header.epoch }
  end
  if header.history ~= '' and header.history ~= ARGV[3] then
    return { 'history', header.history }
  end
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'history', ARGV[3])
  if header.generation == '' then
    header.at, header.digest, header.generation = '0', '', epoch
    redis.call('HSET', KEYS[1], 'at', '0', 'digest', '', 'generation', epoch)
  end
  return { 'entered', header.at, header.digest, header.generation, header.last_from, header.last_digest }
end

if header.epoch ~= '' and earlier(epoch, header.epoch) then
  return { 'fenced', header.epoch }
end
if header.epoch ~= epoch or header.generation ~= ARGV[3] then
  return mismatch()
end

-- reset GENERATION NEXT: the state begins anew, under the next generation; the tables of this one go.
if step == 'reset' then
  for i = 2, #KEYS do
    redis.call('UNLINK', KEYS[i])
  end
  redis.call('HSET', KEYS[1], 'generation', ARGV[4], 'at', '0', 'digest', '')
  redis.call('HDEL', KEYS[1], 'last_from', 'last_digest', 'last_to', 'last')
  return { 'reset' }
end

local from, digest, to = ARGV[4], ARGV[5], ARGV[6]

-- apply GENERATION FROM DIGEST TO NEXT-DIGEST (TABLE FIELD VALUE)...: a recorded entry, where it begins.
if step == 'apply' then
  if header.at ~= from or header.digest ~= digest then
    return mismatch()
  end
  for i = 8, #ARGV, 3 do
    if not key[ARGV[i]] then
      return redis.error_reply('ERR there is no table ' .. ARGV[i])
    end
    if ARGV[i + 1] == '' then
      drop(ARGV[i])
    else
      put(ARGV[i], ARGV[i + 1], ARGV[i + 2] ~= '' and ARGV[i + 2])
    end
  end
  write()
  redis.call('HSET', KEYS[1], 'at', to, 'digest', ARGV[7])
  redis.call('HDEL', KEYS[1], 'last_from', 'last_digest', 'last_to', 'last')
  return { 'applied' }
end

if step ~= 'decide' then
  return redis.error_reply('ERR there is no step ' .. step)
end

-- decide GENERATION FROM DIGEST TO (FIELD...)...: commands of book.width fields each, of which the first are
-- verb (unreadable: what could not be read), id, own time (ms), content digest; a tick's fifth is its retention.
if header.at ~= from or header.digest ~= digest then
  if header.last_from == from and header.last_digest == digest then
    return { 'last', header.last_to, header.digest, header.last }
  end
  return mismatch()
end
if from == to then
  return { 'idle' }
end

local wanted = { clock = { time = true, retention = true, rotated = true, current = true } }
local function want(name, field)
  if rotating[name] then
    want(name .. '0', field)
    want(name .. '1', field)
    return
  end
  wanted[name] = wanted[name] or {}
  wanted[name][field] = true
end

local commands = {}
for i = 7, #ARGV, book.width do
  local c = { unpack(ARGV, i, i + book.width - 1) }
  commands[#commands + 1] = c
  if c[1] ~= 'unreadable' then
    want('seen', c[2])
    book.wants(c, want)
  end
end
fetch(wanted)

local answers = {}
for i, c in ipairs(commands) do
  changes = {}
  local word = 'unreadable'
  if c[1] == 'tick' then
    word = s.tick(c[3], c[5])
  elseif c[1] ~= 'unreadable' then
    word = book.decide(c, s)
  end
  table.insert(changes, 1, word)
  answers[i] = table.concat(changes, '\t')
end
local answer = table.concat(answers, '\n')
local after = redis.sha1hex(digest .. '\n' .. from .. '\n' .. to .. '\n' .. answer)

write()
redis.call('HSET', KEYS[1], 'at', to, 'digest', after,
  'last_from', from, 'last_digest', digest, 'last_to', to, 'last', answer)
return { 'decided', to, after, answer }
