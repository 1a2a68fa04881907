-- KEYS: the resource. ARGV: the holder's fence, the new value. Answers 1 written, 0 refused.
-- Fences are compared as numbers of up to 16 digits, which Lua's doubles keep exactly.
local seen = tonumber(redis.call('HGET', KEYS[1], 'fence')) or 0
if tonumber(ARGV[1]) < seen then
  redis.call('HINCRBY', KEYS[1], 'refused', 1)
  return 0
end
redis.call('HSET', KEYS[1], 'fence', ARGV[1], 'value', ARGV[2])
return 1
