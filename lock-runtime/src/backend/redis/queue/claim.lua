-- ARGV: the lease, the longest pause, the worker, how many upcoming calls are to be told and which ('soonest', 'latest'),
-- how many attempts a call has at least whose workers stop, then the tokens.
-- Answers {claimed, upcoming, buried, ms until there may be more (-1: nothing is stored that will be due)}, where
-- claimed has {id, token, lane, payload, tried, attempts, delay, early, age} and upcoming {id, lane}.
local lease, longest, worker, upcoming = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
local is_latest, crashes = ARGV[7] == 'latest', tonumber(ARGV[8])
local TOKENS = 9
local refusal = begin()
if refusal then
  return refusal
end

-- Back what dead workers had: a few at a time, because this must not take long.
local buried = {}
local rings = false
for _, id in ipairs(redis.call('ZRANGEBYSCORE', RUNNING, '-inf', now, 'LIMIT', 0, 32)) do
  local record = read(id)
  local pause = record.delay * 2 ^ math.min(record.tried, 40)
  record.tried = record.tried + 1
  local error = 'its worker stopped without an answer: it was killed, or cut off for longer than its claim ('
    .. record.worker .. ')'
  if record.tried >= math.max(record.attempts, crashes) then
    rings = bury(id, record, 'exhausted', error, 'over') or rings
    buried[#buried + 1] = id
  else
    unclaim(id, record, 'over')
    record.due = now + math.min(pause, math.max(record.delay, longest))
    record.w, record.error = 0, error
    wait(id, record, true)
  end
end

local claimed = {}
local bytes = 0
local function tell(id, record)
  redis.call('ZADD', RUNNING, now + lease, id)
  local payload = redis.call('HGET', PAYLOADS, id) or ''
  bytes = bytes + #payload
  claimed[#claimed + 1] = {
    id, record.token, record.lane, payload, record.tried, record.attempts, record.delay,
    math.max(0, record.due - record.claimed), math.max(0, now - record.stored),
  }
end

-- Those that are asked for again; then those whose time has come.
local free = {}
for i = TOKENS, #ARGV do
  local id = redis.call('HGET', CLAIMS, ARGV[i])
  if not id then
    free[#free + 1] = ARGV[i]
  elseif string.sub(id, 1, 1) ~= '=' then
    tell(id, read(id))
  end
end
for i, id in ipairs(redis.call('ZRANGEBYSCORE', HEADS, '-inf', now, 'LIMIT', 0, #free)) do
  if bytes >= LARGEST then
    break
  end
  local record = read(id)
  record.token, record.worker, record.claimed = free[i], worker, now
  redis.call('ZREM', HEADS, id)
  redis.call('ZREM', PENDING, id)
  redis.call('HSET', CLAIMS, record.token, id)
  write(id, record)
  tell(id, record)
end

local others = {}
if upcoming > 0 and #claimed <= #ARGV - TOKENS then
  -- A part of them by rank: the calls that are not due are the last ones.
  local count = redis.call('ZCARD', HEADS)
  local from = redis.call('ZCOUNT', HEADS, '-inf', now)
  local to = math.min(count, from + upcoming) - 1
  if is_latest then
    from, to = math.max(from, count - upcoming), count - 1
  end
  for _, id in ipairs(to < from and {} or redis.call('ZRANGE', HEADS, from, to)) do
    local record = read(id)
    if record.w == 1 then
      others[#others + 1] = {id, record.lane}
    end
  end
end

local left = -1
for _, key in ipairs({HEADS, RUNNING}) do
  local earliest = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]
  if earliest then
    local ms = math.max(0, tonumber(earliest) - now)
    if left < 0 or ms < left then
      left = ms
    end
  end
end
if rings then
  ring()
end
return {claimed, others, buried, left}
