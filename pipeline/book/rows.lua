-- Packed rows.
--
-- The rows of all packed tables stand in buckets, the fields of one HASH. A bucket is the era in which it was written, 4
-- bytes, and its rows:
--
--   SIZE   of the rest of the row, in one byte below 128, else in two, of which the first has 128 added
--   TABLE  a byte, the table's number in `packed`
--   KEY    the identifier, as a token: a byte of its length, and its bytes. Of 32 or 48 hexadecimal digits these are 16
--          or 24; of any other text itself, and its length has 128 added
--   VALUE  in which words of 32 or 48 hexadecimal digits are tokens
--
-- A bucket's name is the first digits, to the base 4, of what the caller makes of the identifier: `depth` of them, or one
-- more where these lie before `split`. The caller moves that on (step split), so that buckets stay small.
--
-- An era ends where the older halves are forgotten: their rows count no more, and go when their bucket is written next.
local split, era, count = header.split, tonumber(header.era), tonumber(header.rows)

local tag, half = {}, {} -- of a table: its number; by number: which half it is
local lengths = {} -- by a table's number: how many rows of it count; count is of all, with those that do not
for length in string.gmatch(header.lengths, '%d+') do
  lengths[#lengths + 1] = tonumber(length)
end
for i, name in ipairs(packed) do
  tag[name], lengths[i] = i, lengths[i] or 0
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

-- after(b, p): of the row at p in the bucket b: where the next begins, and where its table stands.
local function after(b, p)
  local size = byte(b, p)
  if size < 128 then
    return p + 1 + size, p + 1
  end
  return p + 2 + (size - 128) * 256 + byte(b, p + 1), p + 2
end

-- locate(b, k, t): the row of the table t with the key k in the bucket b: where it begins, where the next one does and
-- where its value does; nil if there is none. The key's bytes may stand within other rows too.
local function locate(b, k, t)
  local p, at = 5, find(b, k, 7, true)
  while at and p <= #b do -- it may stand within the last row
    local size, q = byte(b, p), p + 1
    if size > 127 then
      size, q = (size - 128) * 256 + byte(b, q), q + 1
    end
    if q >= at then -- what was found stands within the row before
      at = find(b, k, q + 1, true)
    else
      if q + 1 == at then
        if byte(b, q) == t then
          return p, q + size, at + #k
        end
        at = find(b, k, q + size, true)
      end
      p = q + size
    end
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
    local next, q = after(b, p)
    if valid(b, byte(b, q)) then
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

-- framed(t, size): what stands before the key of a row whose key and value have so many bytes.
local function framed(t, size)
  if size < 127 then
    return char(size + 1, t)
  end
  return char(128 + floor((size + 1) / 256), (size + 1) % 256, t)
end

-- add(t, k, i, head, rest): writes a row that is not there yet, in the bucket i. Its value is given in two parts.
local function add(t, k, i, head, rest)
  buckets[i] = open(i) .. framed(t, #k + #head + #rest) .. k .. head .. rest
  count, lengths[t] = count + 1, lengths[t] + 1
end

-- exchange(t, k, i, u, value): in place of a row of the table t one of the table u; without value none.
local function exchange(t, k, i, u, value)
  local b = open(i)
  local p, next = locate(b, k, t)
  lengths[t] = lengths[t] - 1
  if value then
    lengths[u] = lengths[u] + 1
    buckets[i] = sub(b, 1, p - 1) .. framed(u, #k + #value) .. k .. value .. sub(b, next)
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
