-- KEYS: the locks. ARGV: their claims' values, then their ttls in ms, or one for all of them.
-- Answers a digit for each: 1 extended, 0 gone, 2 held by something else. PEXPIRE, not SET: it works when the server is
-- out of memory, and it never creates a key. pcall: one key of another type must not stop the others.
local count = #KEYS
local answers = {}
for i = 1, count do
  local held = redis.pcall('GET', KEYS[i])
  if held == ARGV[i] then
    answers[i] = redis.call('PEXPIRE', KEYS[i], ARGV[count + i] or ARGV[count + 1])
  elseif held == false then
    answers[i] = 0
  else
    answers[i] = 2
  end
end
return table.concat(answers)
