-- The protocol of a book: every step is one call of this script, on the keys of one shard.
--
-- KEYS[1]   the header, HASH: epoch, history, generation, layout, at, digest,
--           last_from, last_digest (where the last answer began), last_to, last (the answer);
--           and of the packed rows: depth, split, era, rows, lengths
-- KEYS[2..] the plain tables of one generation, HASHes of a row a field, in the order of `plain`; then, last, the
--           packed rows of all other tables: see rows.lua
-- ARGV[1]   the step, ARGV[2] the caller's epoch; the rest is said at each step
--
-- All checks, and all decisions, come before the first write: an error leaves everything as it was.
-- No number becomes text but by number(): the rest of Lua would round it.

local call, sub, byte, char, find = redis.call, string.sub, string.byte, string.char, string.find
local format, floor = string.format, math.floor

-- Where a command has the key and the bucket of its identifier, and the token of its digest: behind its fields.
local KEY, BUCKET, TOKEN = '@width' + 1, '@width' + 2, '@width' + 3

-- @book

local LAYOUT = '@layout' -- how a state is kept: one of another layout is never touched, but by a reset
local CHUNK = 2000 -- arguments of one call; Lua unpacks some thousands at most

local plain, packed = { 'clock' }, { 'seen0', 'seen1' }
local halves = { 'seen0', 'seen1' } -- in an order: what is written must not depend on a table's
local rotating = { seen = true }
for _, name in ipairs(book.plain) do
  plain[#plain + 1] = name
end
for _, name in ipairs(book.packed) do
  packed[#packed + 1] = name
end
for _, name in ipairs(book.rotating) do
  rotating[name] = true
  halves[#halves + 1] = name .. '0'
  halves[#halves + 1] = name .. '1'
  packed[#packed + 1] = name .. '0'
  packed[#packed + 1] = name .. '1'
end

local header = {}
do
  local fields = { 'epoch', 'history', 'generation', 'layout', 'at', 'digest', 'last_from', 'last_digest', 'last_to',
    'depth', 'split', 'era', 'rows', 'lengths' }
  local values = call('HMGET', KEYS[1], unpack(fields))
  for i, field in ipairs(fields) do
    header[field] = values[i] or ''
  end
end

-- number(n): a whole number of at most 2^53-1 as decimal text, exactly.
local function number(n)
  return format('%d', n)
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

-- begin(): what the header of an empty state says of its packed rows.
local function begin(depth)
  return 'layout', LAYOUT, 'at', '0', 'digest', '', 'depth', depth, 'split', '', 'era', '0', 'rows', '0',
    'lengths', ''
end

-- hmget(key, list, first, last): the values of some fields, in chunks; of absent ones, false.
local function hmget(key, list, first, last)
  if last < first then
    return {}
  end
  local values = call('HMGET', key, unpack(list, first, math.min(first + CHUNK - 1, last)))
  for i = first + CHUNK, last, CHUNK do
    for _, value in ipairs(call('HMGET', key, unpack(list, i, math.min(i + CHUNK - 1, last)))) do
      values[#values + 1] = value
    end
  end
  return values
end

-- hset(key, list, first, last), of fields and values, and hdel, of fields: in chunks.
local function hset(key, list, first, last)
  for i = first, last, CHUNK do
    call('HSET', key, unpack(list, i, math.min(i + CHUNK - 1, last)))
  end
end

local function hdel(key, list, first, last)
  for i = first, last, CHUNK do
    call('HDEL', key, unpack(list, i, math.min(i + CHUNK - 1, last)))
  end
end

local step, epoch = ARGV[1], ARGV[2]

-- enter HISTORY DEPTH: the caller becomes the owner, unless a later one did.
if step == 'enter' then
  if header.epoch ~= '' and earlier(epoch, header.epoch) then
    return { 'fenced', header.epoch }
  end
  if header.history ~= '' and header.history ~= ARGV[3] then
    return { 'history', header.history }
  end
  call('HSET', KEYS[1], 'epoch', epoch, 'history', ARGV[3])
  if header.generation == '' then
    header.at, header.digest, header.generation, header.layout = '0', '', epoch, LAYOUT
    header.depth, header.split, header.era, header.rows = ARGV[4], '', '0', '0'
    call('HSET', KEYS[1], 'generation', epoch, begin(ARGV[4]))
  end
  if header.layout ~= LAYOUT then
    return { 'foreign', header.generation }
  end
  return { 'entered', header.at, header.digest, header.generation, header.last_from, header.last_digest, header.depth,
    header.split, header.rows, header.era }
end

if header.epoch ~= '' and earlier(epoch, header.epoch) then
  return { 'fenced', header.epoch }
end
if header.epoch ~= epoch or header.generation ~= ARGV[3] then
  return mismatch()
end

-- reset GENERATION NEXT DEPTH: the state begins anew, under the next generation; the keys of this one go.
if step == 'reset' then
  for i = 2, #KEYS do
    call('UNLINK', KEYS[i])
  end
  call('HSET', KEYS[1], 'generation', ARGV[4], begin(ARGV[5]))
  call('HDEL', KEYS[1], 'last_from', 'last_digest', 'last_to', 'last')
  return { 'reset' }
end

local from, digest, to = ARGV[4], ARGV[5], ARGV[6]

if header.layout ~= LAYOUT then
  return mismatch()
end

-- split GENERATION FROM DIGEST DEPTH SPLIT NEXT-DEPTH NEXT-SPLIT ROWS COUNT NAME... (NAME BUCKET)...: packed rows move
-- from COUNT buckets to others, where nothing has changed since they were read.
if step == 'split' then
  if header.at ~= from or header.digest ~= digest or header.depth ~= ARGV[6] or header.split ~= ARGV[7] then
    return mismatch()
  end
  local last = 11 + tonumber(ARGV[11])
  hdel(KEYS[#KEYS], ARGV, 12, last)
  hset(KEYS[#KEYS], ARGV, last + 1, #ARGV)
  call('HSET', KEYS[1], 'depth', ARGV[8], 'split', ARGV[9], 'rows', ARGV[10])
  return { 'split' }
end

-- adopt GENERATION FROM DIGEST TO NEXT-DIGEST DEPTH SPLIT ERA ROWS LENGTHS COUNT...: the rows of the generation were
-- written from elsewhere, while the header stood where no journal leads to. They are whole if each key has COUNT fields:
-- Redis may have gone back in between.
if step == 'adopt' then
  if header.at ~= from or header.digest ~= digest then
    return mismatch()
  end
  for i = 2, #KEYS do
    if call('HLEN', KEYS[i]) ~= tonumber(ARGV[11 + i]) then
      return mismatch()
    end
  end
  call('HSET', KEYS[1], 'at', to, 'digest', ARGV[7], 'depth', ARGV[8], 'split', ARGV[9], 'era', ARGV[10],
    'rows', ARGV[11], 'lengths', ARGV[12])
  return { 'adopted' }
end

-- Plain rows, by table and field: false where there is none. What is written stands in dirty, in order.
local key, cache, dirty = {}, {}, {}
for i, name in ipairs(plain) do
  key[name], cache[name], dirty[name] = KEYS[1 + i], {}, {}
end

local function put_plain(name, field, value)
  cache[name][field] = value
  local set = dirty[name]
  if not set[field] then
    set[field] = true
    set[#set + 1] = field
  end
end

local function write_plain()
  for _, name in ipairs(plain) do
    local puts, dels, set = {}, {}, dirty[name]
    for i = 1, #set do
      local field = set[i]
      local value = cache[name][field]
      if value then
        puts[#puts + 1] = field
        puts[#puts + 1] = value
      else
        dels[#dels + 1] = field
      end
    end
    hset(key[name], puts, 1, #puts)
    hdel(key[name], dels, 1, #dels)
  end
end

-- @rows

-- Where the caller has the packed rows. It names their buckets, as it knows how they are spread.
if header.depth ~= ARGV[7] or header.split ~= ARGV[8] then
  return mismatch()
end

-- apply GENERATION FROM DIGEST TO DEPTH SPLIT NEXT-DIGEST COUNT NAME... (TABLE FIELD VALUE BUCKET)...: a recorded entry,
-- where it begins. The NAMEs are those of COUNT buckets. Of a packed table FIELD is the key, VALUE has tokens, and
-- BUCKET is which of these it is.
if step == 'apply' then
  if header.at ~= from or header.digest ~= digest then
    return mismatch()
  end
  local first = 11 + tonumber(ARGV[10])
  for i = first, #ARGV, 4 do
    if not cache[ARGV[i]] and not tag[ARGV[i]] then
      return redis.error_reply('ERR there is no table ' .. ARGV[i])
    end
  end
  fetch(11, first - 1)
  for i = first, #ARGV, 4 do
    local name, field, value, bucket = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
    if field == '' then
      drop(name)
    elseif cache[name] then
      put_plain(name, field, value ~= '' and value)
    elseif value == '' then
      remove(tag[name], field, bucket)
    else
      place(tag[name], field, bucket, value)
    end
  end
  write_plain()
  write_packed()
  call('HSET', KEYS[1], 'at', to, 'digest', ARGV[9], 'era', number(era), 'rows', number(count),
    'lengths', table.concat(lengths, ' '))
  call('HDEL', KEYS[1], 'last_from', 'last_digest', 'last_to', 'last')
  return { 'applied', header.depth, split, number(count), number(era) }
end

if step ~= 'decide' then
  return redis.error_reply('ERR there is no step ' .. step)
end

-- @decide
