-- The pre-issues book: the first decision on each pre-issue of its shard wins, and everyone else is told it.
--
-- A command has the fields VERB to FAULT below; TERMS stands for the terms that the sender saw, FAULT is why its
-- own content is refused, empty where it is not. What TERMS and the rows of the tables hold stands in
-- preissue.go. The answer is a word, and sometimes a reason: done | refused already-declined | repeat
-- | repeat early | conflict | conflict terms.

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

-- content is the part of the terms that stands for the invitation's own content.
local function content(terms)
  return string.sub(terms, -16)
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

-- offer makes the pre-issue: one for each invitation, whoever offers and however often. The same invitation may
-- be offered again with other terms, when its bank's have changed meanwhile: that is another conflict than that
-- of two invitations with one identifier.
local function offer(c, s, known)
  if known then
    if known.terms == c[TERMS] then
      return 'repeat'
    end
    return content(known.terms) == content(c[TERMS]) and 'conflict terms' or 'conflict'
  end
  local why = s.untimely(c)
  if why then
    return why
  end
  s.set('open', c[INVITATION], c[TERMS])
  return 'done'
end

-- decide answers the command. What an answer rests on and time would change is remembered under the command's
-- identifier: that it came early, and that there was no pre-issue.
function book.decide(c, s)
  local word = s.seen(c[ID], c[DIGEST])
  if word then
    return word
  end
  local known = pre_issue(s, c[INVITATION])
  if c[VERB] == 'offer' then
    return offer(c, s, known)
  end
  if not known then -- or no longer: then the command is stale
    return s.untimely(c) or s.remember(c[ID], c[DIGEST], 'refused pre-issue-unknown')
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
  word = s.untimely(c)
  if word then
    return word
  end
  s.del('open', c[INVITATION])
  s.set('decided', c[INVITATION], table.concat({ c[VERB], c[TERMS], c[ID], c[DIGEST] }, ' '))
  return 'done'
end
