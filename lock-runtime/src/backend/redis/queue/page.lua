-- ARGV: where the calls stand, how many to leave out, how many to tell at most. Answers {id, at, record, payload} for
-- each. By rank: a page far behind costs no more.
local standing, offset, limit = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local key, from, to = PENDING, offset, offset + limit - 1
local is_backwards = false
if standing == 'due' then
  to = math.min(to, redis.call('ZCOUNT', PENDING, '-inf', now) - 1)
elseif standing == 'delayed' then
  local due = redis.call('ZCOUNT', PENDING, '-inf', now)
  from, to = from + due, to + due
elseif standing == 'running' then
  key = RUNNING
else
  -- The last one first.
  key, is_backwards = DEAD, true
  local count = redis.call('ZCARD', DEAD)
  from, to = math.max(0, count - 1 - to), count - 1 - from
end
local page = {}
-- Negative ones would count from the end.
if to < from then
  return page
end
local found = redis.call('ZRANGE', key, from, to, 'WITHSCORES')
local bytes = 0
for i = 1, #found, 2 do
  local at = is_backwards and #found - i or i
  local id = found[at]
  local payload = redis.call('HGET', PAYLOADS, id) or ''
  page[#page + 1] = {id, tonumber(found[at + 1]), redis.call('HGET', CALLS, id), payload}
  bytes = bytes + #payload
  if bytes >= LARGEST then
    break
  end
end
return page
