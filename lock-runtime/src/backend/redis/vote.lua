-- As acquire, on one of several independent servers.
-- KEYS: the lock; the fence counter; the longest ttl that was ever asked for. ARGV: the claim's value, its ttl in ms.
-- Answers {fence, 0} when the claim holds the lock now, {0, pttl, holder's value} when another one does.
-- Reads and refuses before it writes; the lock is written last, so that an error (out of memory) leaves none behind; a
-- claim that is sent twice is granted again. pcall, and the error as the answer: so it keeps its code on servers before
-- 7.0 too.
local held = redis.pcall('GET', KEYS[1])
if type(held) == 'table' then
  return held
end
if held and held ~= ARGV[1] then
  return {0, redis.call('PTTL', KEYS[1]), held}
end
local time = redis.call('TIME')
local fence = time[1] * 1000000 + time[2]
local last = tonumber(redis.call('GET', KEYS[2])) or 0
if fence <= last then
  fence = last + 1
end
local counted = redis.pcall('SET', KEYS[2], string.format('%.0f', fence))
if counted.err then
  return counted
end
if (tonumber(redis.call('GET', KEYS[3])) or 0) < tonumber(ARGV[2]) then
  local noted = redis.pcall('SET', KEYS[3], ARGV[2])
  if noted.err then
    return noted
  end
end
local set = redis.pcall('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if set.err then
  return set
end
return {fence, 0}
