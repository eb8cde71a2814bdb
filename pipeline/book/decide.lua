-- decide GENERATION FROM DIGEST TO DEPTH SPLIT BATCH BUCKETS HEADS HALF FIRST LAST TEXTS COUNT... WORD... TEXT...: the
-- BATCH holds the commands, as frame.go writes them and take() reads them. The WORDs are what commands share: the empty
-- one; the fields of the plain tables, COUNT of each but the clock; others. There are TEXTS texts and behind them the
-- names of BUCKETS buckets. A command's fields are those that the book names; the first are verb (unreadable: what could
-- not be read), id, own time (ms), content digest; a tick's fifth is its retention. Behind them stand, in the same order,
-- the key and the bucket of each identifier, and the token of each digest. It is the same table for each command.
--
-- A book may have a quick way for usual commands: quick(p, q) takes the one whose head, as quick.go writes it, stands at
-- p in HEADS, and its texts from the argument q on. It says whether it has decided it, and where the next one's texts
-- begin; if it has not, it has changed nothing, and the book's decide does. The commands that have a quick way are of a
-- time from FIRST to LAST, and take HALF for the newer half of the rotating tables.
if header.at ~= from or header.digest ~= digest then
  if header.last_from == from and header.last_digest == digest then
    return { 'last', header.last_to, header.digest, call('HGET', KEYS[1], 'last'), header.depth, split, header.rows,
      header.era }
  end
  return mismatch()
end
if from == to then
  return { 'idle' }
end

local batch, heads, WORDS = ARGV[9], ARGV[11], 15 + #plain

-- @take

do
  local clock = call('HMGET', KEYS[2], 'time', 'retention', 'rotated', 'current')
  cache.clock = { time = clock[1], retention = clock[2], rotated = clock[3], current = clock[4] }
  local first = WORDS + 1
  for i = 2, #plain do
    local last = first + tonumber(ARGV[14 + i]) - 1
    local rows, values = cache[plain[i]], hmget(key[plain[i]], ARGV, first, last)
    for j = first, last do
      rows[ARGV[j]] = values[j - first + 1]
    end
    first = last + 1
  end
  fetch(#ARGV - tonumber(ARGV[10]) + 1, #ARGV)
end

-- The answer's pieces: of each command a word, then its changes.
local pieces, ends = {}, 0

-- What a book may use to decide: s. A row of a packed table is named by its key and its bucket, and kept, as it is got,
-- with tokens in place of digests.
local s = {}

local current, other = cache.clock.current or '0', cache.clock.current == '1' and '0' or '1'
local newer, older = {}, {} -- of a rotating table: the table that its rows are written to, and the other one

local function turn()
  for name in pairs(rotating) do
    newer[name], older[name] = name .. current, name .. other
  end
end
turn()

local labels = {}
for _, list in ipairs({ plain, packed }) do
  for _, name in ipairs(list) do
    labels[name] = '\t' .. name .. '\t'
  end
end

-- change(table, field, head, rest): the answer says that the row was written; its value is given in two parts.
local function change(name, field, head, rest)
  local list, n = pieces, ends
  list[n + 1] = labels[name]
  list[n + 2] = field
  list[n + 3] = '\t'
  list[n + 4] = head
  list[n + 5] = rest
  ends = n + 5
end

-- read(table, field), write(table, field, value): a row of a plain table.
function s.read(name, field)
  local value = cache[name][field]
  if value == nil then
    error('read of ' .. name .. ' ' .. field .. ' was not declared')
  end
  return value or nil
end

function s.write(name, field, value)
  put_plain(name, field, value)
  change(name, field, value, '')
end

-- tell(table, field, value), keep(table, field, value): the two halves of write, for who keeps rows itself meanwhile,
-- and has them written when the book finishes.
function s.tell(name, field, value)
  change(name, field, value, '')
end

s.keep = put_plain

-- known(k, i): may there be rows with the key in the bucket? If not, there are none.
function s.known(k, i)
  local b = buckets[i]
  return b and find(b, k, 5, true)
end

local function got(name, k, i)
  local b, t = buckets[i], tag[name]
  if not b then
    return nil
  end
  local p, next, value = locate(b, k, t)
  if p and valid(b, t) then
    return sub(b, value, next - 1)
  end
  return nil
end

-- get(table, k, i): a row, or nil.
function s.get(name, k, i)
  if rotating[name] then
    return got(newer[name], k, i) or got(older[name], k, i)
  end
  return got(name, k, i)
end

-- add(table, id, k, i, head, digest, token): writes a row that is not there yet: head and digest, of which the token
-- is kept.
function s.add(name, id, k, i, head, digest, token)
  name = newer[name] or name
  add(tag[name], k, i, head, token)
  change(name, id, head, digest)
end

-- set(table, id, k, i, value, kept): writes a row.
function s.set(name, id, k, i, value, kept)
  name = newer[name] or name
  place(tag[name], k, i, kept)
  change(name, id, value, '')
end

-- turn(table, other, id, k, i, value, kept): a row that is there gives way to one of another table.
function s.turn(name, into, id, k, i, value, kept)
  into = newer[into] or into
  change(name, id, '', '')
  change(into, id, value, '')
  exchange(tag[name], k, i, tag[into], kept)
end

s.number = number

-- amounts(x, y, z): three whole numbers as text.
function s.amounts(x, y, z)
  return format('%d %d %d', x, y, z)
end

-- hex(token): the 32 digits that a token stands for.
local plain_bytes = { ['\1\1'] = '\0', ['\1\2'] = '\1' }
local to_hex
if rawget(_G, 'struct') then -- the embedded Redis has none
  local unpack_words = struct.unpack
  function to_hex(token)
    return format('%08x%08x%08x%08x', unpack_words('>I4I4I4I4', token, 2))
  end
else
  function to_hex(token)
    return (string.gsub(sub(token, 2), '.', function(c)
      return format('%02x', byte(c))
    end))
  end
end

local function hex(token)
  if #token > 17 then
    return to_hex((string.gsub(token, '\1.', plain_bytes)))
  end
  return to_hex(token)
end
s.hex = hex

-- bytes(token): what it stands for.
function s.bytes(token)
  local bytes = sub(token, 2)
  if #bytes == byte(token) then
    return bytes
  end
  return (string.gsub(bytes, '\1.', plain_bytes))
end

-- cut(text): the token with which the words of a value begin, and the words behind it.
function s.cut(text)
  local size = byte(text)
  local last = 1 + size
  local token = sub(text, 1, last)
  if find(token, '\1', 2, true) then
    last = 1
    for _ = 1, size do
      last = last + (byte(text, last + 1) == 1 and 2 or 1)
    end
    token = sub(text, 1, last)
  end
  return token, sub(text, last + 2)
end

-- word(k): a key as a word of a value.
function s.word(k)
  return byte(k, 2) ~= 2 and sub(k, 2) or sub(k, 3, -2)
end

-- seen(c): what stands under the command's identifier: nil, repeat [why], or conflict.
function s.seen(c)
  local k, i = c[KEY], c[BUCKET]
  if not s.known(k, i) then
    return nil
  end
  local row = got(newer.seen, k, i) or got(older.seen, k, i)
  if not row then
    return nil
  end
  local token = c[TOKEN]
  if sub(row, 1, #token) ~= token then
    return 'conflict'
  end
  return 'repeat' .. sub(row, #token + 1)
end

-- remember(c, word): what the command's identifier, of which nothing is remembered yet, stands for; word is done or
-- refused WHY. Returns word.
function s.remember(c, word)
  local why = word == 'done' and '' or string.match(word, '^refused( .+)$') or ''
  add(tag[newer.seen], c[KEY], c[BUCKET], c[TOKEN], why)
  change(newer.seen, c[2], c[4], why)
  return word
end

-- untimely(c): nil, or why the command c is refused: what its identifier stood for may be forgotten (stale), or
-- would be before its own time has come (early). Stale stays true and needs no memory. Early would not: so it is
-- remembered under the command's identifier, and who was told it is not contradicted when the same comes again
-- in time; as every refusal is, for two retentions at least: what is sent once more after that is decided anew.
-- A book asks seen() before.
function s.untimely(c)
  local clock = cache.clock
  local now = clock.time
  if not now then
    return nil
  end
  local t = tonumber(c[3])
  if t < tonumber(now) - tonumber(clock.retention) then
    return 'refused stale'
  end
  if t > tonumber(now) + tonumber(clock.retention) then
    return s.remember(c, 'refused early')
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
local function tick(time, retention)
  local now, kept = cache.clock.time, cache.clock.retention
  if now and tonumber(time) <= tonumber(now) then
    return 'refused stale'
  end
  if now and tonumber(time) > tonumber(now) + tonumber(kept) then
    return 'refused early'
  end
  if now and retention ~= kept then
    return 'conflict'
  end
  s.write('clock', 'time', time)
  if not now then
    s.write('clock', 'retention', retention)
    s.write('clock', 'rotated', time)
  elseif tonumber(time) >= tonumber(cache.clock.rotated) + 2 * tonumber(retention) then
    for _, name in ipairs(halves) do
      if sub(name, -1) == other then
        drop(name)
        change(name, '', '', '')
      end
    end
    current, other = other, current
    turn()
    s.write('clock', 'rotated', time)
    s.write('clock', 'current', current)
  end
  return 'done'
end

-- The answer is made of groups that fit into the buffer with which Lua joins a list; and these are joined at once.
-- Each time that a text is joined again costs as much as the first.
local GROUP = '@group' -- commands

-- @join

-- slow(at, c): decides the command that begins there in the batch, and returns where the next one does.
local function slow(at, c)
  local next = take(at, c)
  pieces[ends + 1] = '\n'
  ends = ends + 2
  local place, verb = ends, c[1]
  pieces[place] = ''
  if verb == 'tick' then
    pieces[place] = tick(c[3], c[5])
  elseif verb == 'unreadable' then
    pieces[place] = verb
  else
    pieces[place] = book.decide(c, s)
  end
  return next
end

-- @quick

-- may_be_quick(): do what the caller took for granted and what the script finds agree?
local function may_be_quick()
  local now, retention = tonumber(cache.clock.time or ''), tonumber(cache.clock.retention or '')
  return quick and current == ARGV[12]
    and (not now or tonumber(ARGV[13]) >= now - retention and tonumber(ARGV[14]) <= now + retention)
end

local groups, n, c, p, done = { digest .. '\n' .. from .. '\n' .. to }, 1, {}, 1, 0

local function answered()
  done = done + 1
  if done == GROUP then
    n, done = n + 1, 0
    groups[n] = table.concat(pieces, '', 1, ends)
    ends = 0
  end
end

if may_be_quick() then
  local q, decided = #ARGV - tonumber(ARGV[10]) - tonumber(ARGV[15]) + 1, false
  for head = 1, #heads, '@head' do
    if q then
      decided, q = quick(head, q)
    end
    if not (q and decided) then
      local o1, o2, o3 = byte(heads, head + 1, head + 3)
      slow(o1 * 65536 + o2 * 256 + o3 + 1, c)
      if c[1] == 'tick' then -- what was taken for granted may be no more
        q = nil
      end
    end
    answered()
  end
else
  while p <= #batch do
    p = slow(p, c)
    answered()
  end
end
groups[n + 1] = table.concat(pieces, '', 1, ends)
local answer = join(groups)
local next_digest = redis.sha1hex(answer)

if book.finish then
  book.finish(s)
end
write_plain()
write_packed()
call('HSET', KEYS[1], 'at', to, 'digest', next_digest, 'last_from', from, 'last_digest', digest, 'last_to', to,
  'last', answer, 'era', number(era), 'rows', number(count), 'lengths', table.concat(lengths, ' '))
return { 'decided', to, next_digest, answer, header.depth, split, number(count), number(era) }
