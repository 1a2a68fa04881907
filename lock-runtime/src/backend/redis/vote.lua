-- As acquire, on one of several independent servers.
-- KEYS: the lock; the fence counter; the longest ttl that was ever asked for. ARGV: the claim's value, its ttl in ms, the
-- fence that it proposes.
-- Answers when the claim holds the lock now: the server's time (in microseconds) where the counter was below the proposal
-- and is there now; {counter, time} where it was not. Answers {0, pttl, holder's value} when another one holds it. A claim
-- that is sent twice is granted again.
-- The counter does not run ahead of the server's time because of a proposal (by more than 10 ms, or 1000 from where it
-- is). So where it is lost, the time is above every proposal that was counted.
-- pcall, and the error as the answer: so it keeps its code on servers before 7.0 too. An error means that nothing was
-- done: a lock that was set before it is taken back.
local set = redis.pcall('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])
if not set or set.err then
  local held = redis.pcall('GET', KEYS[1])
  if type(held) == 'table' then
    return held
  end
  if held and held ~= ARGV[1] then
    return {0, redis.call('PTTL', KEYS[1]), held}
  end
  if set then
    return set
  end
end
local refused, answer = nil, nil
local ask = redis.pcall
local time, last, longest = ask('TIME'), ask('GET', KEYS[2]), ask('GET', KEYS[3])
if time.err then
  refused = time
elseif type(last) == 'table' then
  refused = last
elseif type(longest) == 'table' then
  refused = longest
else
  local now = time[1] * 1000000 + time[2]
  local proposal = tonumber(ARGV[3])
  last = tonumber(last)
  local counter, count = last or now + 10000, nil
  if proposal > counter and (proposal <= now + 10000 or proposal <= counter + 1000) then
    answer, count = now, ARGV[3]
  else
    answer, count = {counter, now}, not last and string.format('%.0f', counter)
  end
  if count then
    local counted = ask('SET', KEYS[2], count)
    refused = counted.err and counted
  end
  if not refused and (tonumber(longest) or 0) < tonumber(ARGV[2]) then
    local noted = ask('SET', KEYS[3], ARGV[2])
    refused = noted.err and noted
  end
end
if refused then
  if set then
    redis.call('DEL', KEYS[1])
  end
  return refused
end
if not set then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return answer
