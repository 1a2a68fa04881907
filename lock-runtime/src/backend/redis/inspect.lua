-- KEYS: the lock. Answers {value, pttl}, or nothing.
local held = redis.pcall('GET', KEYS[1])
if type(held) == 'table' then
  return held
end
if held then
  return {held, redis.call('PTTL', KEYS[1])}
end
return false
