-- KEYS: the lock. ARGV: the claim's value, the ms that the lock stays taken or 0, the channel of those who wait (empty:
-- nobody is to be woken).
-- Answers 1 done, 0 gone, 2 held by something else. Changes only the claim's own value. The publish may be forbidden
-- to this user: then waiters find out by their timers.
local held = redis.pcall('GET', KEYS[1])
if type(held) == 'table' then
  return held
end
if not held then
  return 0
end
if held ~= ARGV[1] then
  return 2
end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
else
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
if ARGV[3] ~= '' then
  redis.pcall('PUBLISH', ARGV[3], '')
end
return 1
