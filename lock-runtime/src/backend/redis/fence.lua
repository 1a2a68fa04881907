-- KEYS: the fence counter. ARGV: how many fences. Answers the first of them, which is larger than every one before, as
-- in acquire.
local time = redis.call('TIME')
local fence = time[1] * 1000000 + time[2]
local last = tonumber(redis.call('GET', KEYS[1])) or 0
if fence <= last then
  fence = last + 1
end
local counted = redis.pcall('SET', KEYS[1], string.format('%.0f', fence + ARGV[1] - 1))
if counted.err then
  return counted
end
return fence
