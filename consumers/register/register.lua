-- Stores marks and the position after them in one act: two commands for the rows, however many.
--
-- KEYS[1]   the partition's positions, HASH: topic -> position
-- KEYS[2]   the bucket, HASH: a row's name -> its marks
-- KEYS[3]   the bucket that is forgotten
-- ARGV[1]   the topic
-- ARGV[2]   the position where the marks begin: that of the last call; empty: none
-- ARGV[3]   the position after them
-- ARGV[4]   how long the bucket is kept, ms
-- ARGV[5]   how many bytes of marks a row holds; more come in only if they must
-- ARGV[6..] of each row, once: its name, and its marks. They must come in if the first is in upper case.
-- Returns   stored | elsewhere: the partition's position is another than where the marks begin

local FIRST, CHUNK = 6, 500 -- rows at a time: Lua's stack is bounded

local at = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if at == ARGV[3] then
  return 'stored'
end
if at ~= ARGV[2] then
  return 'elsewhere'
end
local full = tonumber(ARGV[5])
for from = FIRST, #ARGV, 2 * CHUNK do
  local to = math.min(from + 2 * CHUNK - 2, #ARGV - 1)
  local names = {}
  for i = from, to, 2 do
    names[#names + 1] = ARGV[i]
  end
  local rows, changed = redis.call('HMGET', KEYS[2], unpack(names)), {}
  for i, name in ipairs(names) do
    local row, marks = rows[i] or '', ARGV[from + 2 * i - 1]
    if #row < full or string.byte(marks) < 97 then
      changed[#changed + 1] = name
      changed[#changed + 1] = row .. marks
    end
  end
  if #changed > 0 then
    redis.call('HSET', KEYS[2], unpack(changed))
  end
end
if #ARGV >= FIRST then
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
  redis.call('UNLINK', KEYS[3])
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 'stored'
