-- KEYS: the fence counter; the lock, where it matters who holds it. ARGV: a fence; the value that the lock must have.
-- From now on this counter gives larger ones only. Answers 0; or the counter, which is left alone, when it has come so far
-- already; or -1 when the lock has another value, and nothing was done.
if KEYS[2] and redis.pcall('GET', KEYS[2]) ~= ARGV[2] then
  return -1
end
local last = tonumber(redis.call('GET', KEYS[1])) or 0
if last >= tonumber(ARGV[1]) then
  return last
end
local raised = redis.pcall('SET', KEYS[1], ARGV[1])
if raised.err then
  return raised
end
return 0
