-- ARGV: id, token, whether the bell is to be rung (1), the verdict and what belongs to it: 'done'; 'dead', cause, error;
-- 'again', pause, whether it waits for its lock (1), error; 'back'. Answers 1 as asked, 2 exhausted, 0 not ours.
local id, token, rings, verdict = ARGV[3], ARGV[4], ARGV[5] == '1', ARGV[6]
local record = read(id)

if verdict == 'done' then
  if not record then
    return is_remembered('d:' .. id) and 1 or 0
  end
elseif not record or record.token ~= token then
  -- It may have been asked for before.
  local ended = redis.call('HGET', CLAIMS, token)
  if ended == '=exhausted' and verdict == 'again' then
    return 2
  end
  return ended == '=' .. verdict and 1 or 0
end

local refusal = begin()
if refusal then
  return refusal
end
local answer = 1
local may_claim
if verdict == 'done' then
  -- Whoever has it: another one's claim ends without a verdict.
  may_claim = finish(id, record, 'd:', record.token == token and 'done' or 'over')
elseif verdict == 'dead' then
  record.tried = record.tried + 1
  may_claim = bury(id, record, ARGV[7], ARGV[8], 'dead')
elseif verdict == 'back' then
  unclaim(id, record, 'back')
  wait(id, record, true)
  may_claim = true
else
  record.tried = record.tried + 1
  if record.tried >= record.attempts then
    may_claim = bury(id, record, 'exhausted', ARGV[9], 'exhausted')
    answer = 2
  else
    unclaim(id, record, 'again')
    record.due, record.w, record.error = now + tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9]
    wait(id, record, true)
    may_claim = true
  end
end
if may_claim and rings then
  ring()
end
return answer
