-- ARGV: the lease, then each claim's id and token. Answers for each: 1 it is kept, 0 it is none any more.
local lease = tonumber(ARGV[3])
local refusal = begin()
if refusal then
  return refusal
end
local answers = {}
for i = 4, #ARGV, 2 do
  local id = ARGV[i]
  if redis.call('HGET', CLAIMS, ARGV[i + 1]) == id then
    redis.call('ZADD', RUNNING, now + lease, id)
    answers[#answers + 1] = 1
  else
    answers[#answers + 1] = 0
  end
end
return answers
