-- ARGV: id. Answers 1 when it may be claimed earlier now, else 0.
local id = ARGV[3]
local at = redis.call('ZSCORE', HEADS, id)
if not at or tonumber(at) <= now or read(id).w ~= 1 then
  return 0
end
local refusal = begin()
if refusal then
  return refusal
end
redis.call('ZADD', HEADS, now, id)
ring()
return 1
