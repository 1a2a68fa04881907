-- KEYS: the fence counter. ARGV: a fence. From now on this counter gives larger ones only. Answers 0; or the counter,
-- which is left alone, when it has come so far already.
local last = tonumber(redis.call('GET', KEYS[1])) or 0
if last >= tonumber(ARGV[1]) then
  return last
end
local raised = redis.pcall('SET', KEYS[1], ARGV[1])
if raised.err then
  return raised
end
return 0
