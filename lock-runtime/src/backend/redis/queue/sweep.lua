-- ARGV: until when they died, how many at most, whether they are sent back (1) or forgotten. Answers how many.
-- Died in a millisecond means: before the next one.
local until_when = '(' .. string.format('%.0f', tonumber(ARGV[3]) + 1)
local found = redis.call('ZRANGEBYSCORE', DEAD, '-inf', until_when, 'LIMIT', 0, tonumber(ARGV[4]))
if #found == 0 then
  return 0
end
local refusal = begin()
if refusal then
  return refusal
end
local rings = false
for _, id in ipairs(found) do
  local record = read(id)
  if ARGV[5] == '1' then
    rings = revive(id, record) or rings
  else
    finish(id, record, 'c:')
  end
end
if rings then
  ring()
end
return #found
