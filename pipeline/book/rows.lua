-- Packed rows.
--
-- The rows of all packed tables stand in buckets, the fields of one HASH. A bucket is the era in which it was written, 4
-- bytes, and its rows:
--
--   0      a byte that is nowhere else in a row: so a row is found by one search for its key
--   KEY    the identifier, as a token: a byte of its length, and its bytes, of which 0 and 1 are written 1 1 and 1 2. Of
--          32 or 48 hexadecimal digits these are 16 or 24; any other text stands between two bytes 2
--   TABLE  a byte, the table's number in `packed`
--   VALUE  in which words of 32 or 48 hexadecimal digits are tokens
--
-- A key that a command brings begins with the 0.
--
-- A bucket's name is the first digits, to the base 4, of what the caller makes of the identifier: `depth` of them, or one
-- more where these lie before `split`. The caller moves that on (step split), so that buckets stay small.
--
-- An era ends where the older halves are forgotten: their rows count no more, and go when their bucket is written next.
local split, era, count = header.split, tonumber(header.era), tonumber(header.rows)

local tag, tags, half = {}, {}, {} -- of a table: its number; by number: the byte; which half it is
local lengths = {} -- by a table's number: how many rows of it count; count is of all, with those that do not
for length in string.gmatch(header.lengths, '%d+') do
  lengths[#lengths + 1] = tonumber(length)
end
for i, name in ipairs(packed) do
  tag[name], tags[i], lengths[i] = i, char(i), lengths[i] or 0
end
for _, name in ipairs(halves) do
  half[tag[name]] = tonumber(sub(name, -1))
end

local function stamped(n)
  return char(floor(n / 16777216) % 256, floor(n / 65536) % 256, floor(n / 256) % 256, n % 256)
end

local stamp = stamped(era)

-- valid(b, t): do rows of the table t count in the bucket b? Those of the half that became the current one since do not.
local function valid(b, t)
  local h = half[t]
  if not h or era == 0 then
    return true
  end
  local e1, e2, e3, e4 = byte(b, 1, 4)
  local age = era - (((e1 * 256 + e2) * 256 + e3) * 256 + e4)
  return age == 0 or age == 1 and h ~= era % 2
end

-- after(b, p): where the row behind the one at p in the bucket b begins.
local function after(b, p)
  return find(b, '\0', p + 1, true) or #b + 1
end

-- table_at(b, p): where the table of the row at p in the bucket b stands.
local function table_at(b, p)
  local size = byte(b, p + 1)
  if size == 2 then
    return find(b, '\2', p + 2, true) + 1
  end
  local q = p + 2
  for _ = 1, size do
    q = q + (byte(b, q) == 1 and 2 or 1)
  end
  return q
end

-- locate(b, k, t): the row of the table t with the key k in the bucket b: where it begins, where the next one does and
-- where its value does; nil if there is none.
local function locate(b, k, t)
  local p = find(b, k .. tags[t], 5, true)
  if p then
    return p, after(b, p), p + #k + 1
  end
  return nil
end

local buckets, names = {}, 0 -- by number, false if empty; where their names begin among the arguments
local touched, marked = {}, {} -- the numbers of those that are written

local function fetch(first, last)
  names, buckets = first - 1, hmget(KEYS[#KEYS], ARGV, first, last)
end

-- renew(b): the bucket in this era, without rows that count no more.
local function renew(b)
  local parts, p = { stamp }, 5
  while p <= #b do
    local next = after(b, p)
    if valid(b, byte(b, table_at(b, p))) then
      parts[#parts + 1] = sub(b, p, next - 1)
    else
      count = count - 1
    end
    p = next
  end
  return table.concat(parts)
end

-- open(i): the bucket i, to be written.
local function open(i)
  if not marked[i] then
    marked[i] = true
    touched[#touched + 1] = i
  end
  local b = buckets[i]
  if not b then
    return stamp
  end
  if era > 0 and sub(b, 1, 4) ~= stamp then
    return renew(b)
  end
  return b
end

-- add(t, k, i, head, rest): writes a row that is not there yet, in the bucket i. Its value is given in two parts.
local function add(t, k, i, head, rest)
  buckets[i] = open(i) .. k .. tags[t] .. head .. rest
  count, lengths[t] = count + 1, lengths[t] + 1
end

-- exchange(t, k, i, u, value): in place of a row of the table t one of the table u; without value none.
local function exchange(t, k, i, u, value)
  local b = open(i)
  local p, next, v = locate(b, k, t)
  lengths[t] = lengths[t] - 1
  if value then
    lengths[u] = lengths[u] + 1
    buckets[i] = sub(b, 1, v - 2) .. tags[u] .. value .. sub(b, next)
    return
  end
  b = sub(b, 1, p - 1) .. sub(b, next)
  buckets[i] = #b > 4 and b
  count = count - 1
end

local function there(t, k, i)
  local b = buckets[i]
  return b and locate(b, k, t) and valid(b, t)
end

-- place(t, k, i, value) writes a row, remove(t, k, i) deletes it, whether it is there or not.
local function place(t, k, i, value)
  if there(t, k, i) then
    return exchange(t, k, i, t, value)
  end
  return add(t, k, i, value, '')
end

local function remove(t, k, i)
  if there(t, k, i) then
    exchange(t, k, i)
  end
end

-- drop(name): forgets a half. All are forgotten together, and the era ends with the first.
local function drop(name)
  lengths[tag[name]] = 0
  if name == 'seen0' or name == 'seen1' then
    era = era + 1
    stamp = stamped(era)
  end
end

local function write_packed()
  local puts, dels = {}, {}
  for i = 1, #touched do
    local b = buckets[touched[i]]
    if b then
      puts[#puts + 1] = ARGV[names + touched[i]]
      puts[#puts + 1] = b
    else
      dels[#dels + 1] = ARGV[names + touched[i]]
    end
  end
  hset(KEYS[#KEYS], puts, 1, #puts)
  hdel(KEYS[#KEYS], dels, 1, #dels)
end
