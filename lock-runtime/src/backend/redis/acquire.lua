-- KEYS: the lock, the fence counter. ARGV: the claim's value, its ttl in ms.
-- Answers {fence, 0} when the claim holds the lock now, {0, pttl} when another one does.
-- Reads and refuses before it writes; the counter is written first, so that an error (out of memory) leaves no lock
-- behind; a claim that is sent twice is granted again.
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then
  return {0, redis.call('PTTL', KEYS[1])}
end
local time = redis.call('TIME')
local fence = time[1] * 1000000 + time[2]
local last = tonumber(redis.call('GET', KEYS[2])) or 0
if fence <= last then
  fence = last + 1
end
redis.call('SET', KEYS[2], string.format('%.0f', fence))
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {fence, 0}
