-- The pre-issues book: the first decision on each pre-issue of its shard wins, and everyone else is told it.
--
-- A command has the fields VERB to FAULT below; TERMS is the digest of the terms that the sender saw, FAULT
-- why its own content is refused, empty where it is not. What the rows of the tables hold stands in
-- preissue.go. The answer is a word, and of a refusal its reason: done | refused already-declined | repeat
-- | conflict.

local book = { tables = { 'open' }, rotating = { 'decided' }, width = 7 }

local VERB, ID, TIME, DIGEST, INVITATION, TERMS, FAULT = 1, 2, 3, 4, 5, 6, 7

local ALREADY = {
  request = 'refused already-requested',
  decline = 'refused already-declined',
  withdraw = 'refused already-withdrawn',
  lapse = 'refused already-lapsed',
}

-- wants declares what the command may read.
function book.wants(c, want)
  if c[VERB] == 'tick' then
    return
  end
  want('open', c[INVITATION])
  want('decided', c[INVITATION])
end

-- pre_issue returns what is known of the invitation's pre-issue, or nil.
local function pre_issue(s, id)
  local row = s.get('decided', id)
  if row then
    local verb, terms, command, digest = string.match(row, '^(%S+) (%S+) (%S+) (%S+)$')
    return { terms = terms, verb = verb, command = command, digest = digest }
  end
  local terms = s.get('open', id)
  return terms and { terms = terms }
end

-- offer makes the pre-issue: one for each invitation, whoever offers and however often.
local function offer(c, s)
  local known = pre_issue(s, c[INVITATION])
  if known then
    return known.terms == c[TERMS] and 'repeat' or 'conflict'
  end
  local why = s.untimely(c[TIME])
  if why then
    return why
  end
  s.set('open', c[INVITATION], c[TERMS])
  return 'done'
end

function book.decide(c, s)
  if c[VERB] == 'offer' then
    return offer(c, s)
  end
  local known = pre_issue(s, c[INVITATION])
  if not known then -- or no longer: then the command is stale
    return s.untimely(c[TIME]) or 'refused pre-issue-unknown'
  end
  if known.terms ~= c[TERMS] then
    return 'refused terms'
  end
  if c[FAULT] ~= '' then
    return 'refused ' .. c[FAULT]
  end
  if known.verb then
    if known.command ~= c[ID] then
      return ALREADY[known.verb]
    end
    return known.digest == c[DIGEST] and 'repeat' or 'conflict'
  end
  local why = s.untimely(c[TIME])
  if why then
    return why
  end
  s.del('open', c[INVITATION])
  s.set('decided', c[INVITATION], table.concat({ c[VERB], c[TERMS], c[ID], c[DIGEST] }, ' '))
  return 'done'
end
