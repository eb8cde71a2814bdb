-- Stores facts and the position after them in one act.
--
-- KEYS[1]   the partition's positions, HASH: topic -> position
-- KEYS[2..] stories, HASHes: what makes a fact one -> the fact
-- ARGV[1]   the topic
-- ARGV[2]   the position where the facts begin: that of the last call; empty: none; *: not known
-- ARGV[3]   the position after them
-- ARGV[4]   how long a story is kept after its last new fact, ms
-- ARGV[5]   how many facts of one topic a story holds; more come in only if they must
-- ARGV[6..] for each fact: which of KEYS, whether it must come in (1 or 0), what makes it one, the fact
-- Returns   stored | elsewhere: the partition's position is another than where the facts begin

local FIRST, FIELDS = 6, 4

local at = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if ARGV[2] ~= '*' and at ~= ARGV[2] and at ~= ARGV[3] then
  return 'elsewhere'
end
for i = FIRST, #ARGV, FIELDS do
  local key, must, field, fact = KEYS[tonumber(ARGV[i])], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local known = redis.call('HEXISTS', key, field) == 1
  if not known and (must == '1' or redis.call('HLEN', key) < tonumber(ARGV[5])) then
    redis.call('HSET', key, field, fact)
    redis.call('PEXPIRE', key, ARGV[4])
  end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 'stored'
