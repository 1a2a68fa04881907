-- KEYS: the fence counter. ARGV: a fence that was given elsewhere. From now on this counter gives larger ones only.
-- Answers 1.
if (tonumber(redis.call('GET', KEYS[1])) or 0) < tonumber(ARGV[1]) then
  local raised = redis.pcall('SET', KEYS[1], ARGV[1])
  if raised.err then
    return raised
  end
end
return 1
