-- The pre-issues book: the first decision on each pre-issue of its shard wins, and everyone else is told it.
--
-- A command has the fields VERB to FAULT below; TERMS stands for the terms that the sender saw, FAULT is why its
-- own content is refused, empty where it is not. What TERMS and the rows of the tables hold stands in
-- preissue.go. The answer is a word, and sometimes a reason: done | refused already-declined | repeat
-- | repeat early | conflict | conflict terms.

local book = { plain = {}, packed = { 'open' }, rotating = { 'decided' } }

local VERB, ID, DIGEST, INVITATION, TERMS, FAULT = 1, 2, 4, 5, 6, 7
local INVITATION_KEY, INVITATION_BUCKET, TERMS_TOKEN = TOKEN + 1, TOKEN + 2, TOKEN + 3

local ALREADY = {
  request = 'refused already-requested',
  decline = 'refused already-declined',
  withdraw = 'refused already-withdrawn',
  lapse = 'refused already-lapsed',
}

-- content is the part of the terms' token that stands for the invitation's own content.
local function content(s, terms)
  return string.sub(s.bytes(terms), -8)
end

-- pre_issue(c, s): what is known of the invitation's pre-issue, or nil.
local function pre_issue(c, s)
  local k, i = c[INVITATION_KEY], c[INVITATION_BUCKET]
  local row = s.get('decided', k, i)
  if row then
    local verb, at = string.match(row, '^(%a+) ()')
    local terms, by = s.cut(string.sub(row, at))
    return { verb = verb, terms = terms, by = by }
  end
  local terms = s.get('open', k, i)
  return terms and { terms = terms }
end

-- offer makes the pre-issue: one for each invitation, whoever offers and however often. The same invitation may
-- be offered again with other terms, when its bank's have changed meanwhile: that is another conflict than that
-- of two invitations with one identifier.
local function offer(c, s, known)
  if known then
    if known.terms == c[TERMS_TOKEN] then
      return 'repeat'
    end
    return content(s, known.terms) == content(s, c[TERMS_TOKEN]) and 'conflict terms' or 'conflict'
  end
  local why = s.untimely(c)
  if why then
    return why
  end
  s.add('open', c[INVITATION], c[INVITATION_KEY], c[INVITATION_BUCKET], '', c[TERMS], c[TERMS_TOKEN])
  return 'done'
end

-- decide answers the command. What an answer rests on and time would change is remembered under the command's
-- identifier: that it came early, and that there was no pre-issue.
function book.decide(c, s)
  local word = s.seen(c)
  if word then
    return word
  end
  local known = pre_issue(c, s)
  if c[VERB] == 'offer' then
    return offer(c, s, known)
  end
  if not known then -- or no longer: then the command is stale
    return s.untimely(c) or s.remember(c, 'refused pre-issue-unknown')
  end
  if known.terms ~= c[TERMS_TOKEN] then
    return 'refused terms'
  end
  if c[FAULT] ~= '' then
    return 'refused ' .. c[FAULT]
  end
  if known.verb then
    local by = s.word(c[KEY]) .. ' '
    if string.sub(known.by, 1, #by) ~= by then
      return ALREADY[known.verb]
    end
    return string.sub(known.by, #by + 1) == c[TOKEN] and 'repeat' or 'conflict'
  end
  word = s.untimely(c)
  if word then
    return word
  end
  s.turn('open', 'decided', c[INVITATION], c[INVITATION_KEY], c[INVITATION_BUCKET],
    c[VERB] .. ' ' .. c[TERMS] .. ' ' .. c[ID] .. ' ' .. c[DIGEST],
    c[VERB] .. ' ' .. c[TERMS_TOKEN] .. ' ' .. s.word(c[KEY]) .. ' ' .. c[TOKEN])
  return 'done'
end
