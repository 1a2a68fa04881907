-- KEYS: the lock. Answers {value, pttl}, or nothing.
local held = redis.call('GET', KEYS[1])
if held then
  return {held, redis.call('PTTL', KEYS[1])}
end
return false
