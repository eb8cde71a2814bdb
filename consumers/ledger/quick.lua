-- The quick way of usual commands: a hold on an open deposit, and the capture of all of a hold on one. What is not quite
-- so is left to the book's decide, before anything is changed. What its texts are stands in quick.go.

local HOLDS, SEEN, SEEN_TAG = tag.holds, tag[newer.seen], tags[tag[newer.seen]]

-- deposit(id, head): the account, if its row begins with the head.
local function deposit(id, head)
  local row = cache.accounts[id]
  if not row or find(row, head, 1, true) ~= 1 then
    return nil
  end
  local first = #head + 1
  local second = find(row, ' ', first, true) + 1
  local third = find(row, ' ', second, true)
  local balance, reserved = sub(row, first, second - 2), sub(row, second, third - 1)
  local a = {
    id = id, kind = 'deposit', currency = sub(head, 9, 11), status = 'open', head = head, tail = sub(row, third),
    balance = balance + 0, balance_text = balance, reserved = reserved + 0, reserved_text = reserved,
  }
  accounts[id] = a
  return a
end

-- append(i, k, rest, t): adds a row of the table t, of which there is none with the key k in the bucket i.
local function append(i, k, rest, t)
  local b = buckets[i]
  if not b or not marked[i] then
    b = open(i)
  end
  buckets[i] = b .. k .. rest
  count, lengths[t] = count + 1, lengths[t] + 1
end

local function quick_hold(q, i, id, head, holder, x)
  local k, b, a = ARGV[q], buckets[i], accounts[id] or deposit(id, head)
  if not a or a.head ~= head or b and find(b, k, 5, true) or find(a.tail, holder, 1, true) ~= 1
    or a.balance - a.reserved < x then
    return false
  end
  local reserved = a.reserved + x
  local text = format('%d', reserved)
  a.reserved, a.reserved_text = reserved, text
  mark_changed(a)
  append(i, k, ARGV[q + 1], HOLDS)
  local list, n = pieces, ends
  list[n + 1] = '\ndone\taccounts\t'
  list[n + 2] = id
  list[n + 3] = '\t'
  list[n + 4] = head
  list[n + 5] = a.balance_text
  list[n + 6] = ' '
  list[n + 7] = text
  list[n + 8] = a.tail
  list[n + 9] = ARGV[q + 2]
  ends = n + 9
  return true
end

-- captured(j, whole, size): the hold whose row in the bucket j begins so, key and size of it included, is over. Returns
-- its token.
local function captured(j, whole, size)
  local b = buckets[j]
  if not marked[j] then
    b = open(j)
  end
  local at = find(b, whole, 5, true)
  local value = at + #whole
  buckets[j] = sub(b, 1, at + size - 1) .. SEEN_TAG .. sub(b, value)
  lengths[HOLDS], lengths[SEEN] = lengths[HOLDS] - 1, lengths[SEEN] + 1
  return sub(b, value, (find(b, '\0', value, true) or 0) - 1)
end

local function quick_capture(q, i, j, id, contra, head, size, x)
  local k, b, h, whole = ARGV[q], buckets[i], buckets[j], ARGV[q + 2]
  local a, c = accounts[id] or deposit(id, head), accounts[contra] or account(s, contra)
  if not a or a.head ~= head or not c or b and find(b, k, 5, true) or not h or not find(h, whole, 5, true)
    or not can_add(c.balance, x) then
    return false
  end
  local balance, reserved, other = a.balance - x, a.reserved - x, c.balance + x
  a.balance, a.balance_text, a.reserved, a.reserved_text = balance, format('%d', balance), reserved, format('%d', reserved)
  c.balance, c.balance_text = other, format('%d', other)
  mark_changed(a)
  mark_changed(c)
  local list, n, digits = pieces, ends, hex(captured(j, whole, size))
  append(i, k, ARGV[q + 1], SEEN)
  list[n + 1] = '\ndone\taccounts\t'
  list[n + 2] = id
  list[n + 3] = '\t'
  list[n + 4] = head
  list[n + 5] = a.balance_text
  list[n + 6] = ' '
  list[n + 7] = a.reserved_text
  list[n + 8] = a.tail
  list[n + 9] = '\taccounts\t'
  list[n + 10] = contra
  list[n + 11] = '\t'
  list[n + 12] = c.head
  list[n + 13] = c.balance_text
  list[n + 14] = ' '
  list[n + 15] = c.reserved_text
  list[n + 16] = c.tail
  list[n + 17] = ARGV[q + 3]
  list[n + 18] = digits
  list[n + 19] = ARGV[q + 4]
  ends = n + 19
  return true
end

local function quick(p, q)
  local kind, _, _, _, i1, i2, j1, j2, a1, a2, b1, b2, c1, c2, d1, d2, x1, x2, x3, x4, x5, x6, x7 = byte(heads, p, p + 22)
  if kind == 0 then
    return false, q
  end
  local x = ((x1 * 256 + x2) * 256 + x3) * 4294967296 + ((x4 * 256 + x5) * 256 + x6) * 256 + x7
  local i, id, head = i1 * 256 + i2, ARGV[WORDS + a1 * 256 + a2], ARGV[WORDS + c1 * 256 + c2]
  if kind == 1 then
    return quick_hold(q, i, id, head, ARGV[WORDS + d1 * 256 + d2], x), q + 3
  end
  return quick_capture(q, i, j1 * 256 + j2, id, ARGV[WORDS + b1 * 256 + b2], head, d1 * 256 + d2, x), q + 5
end
