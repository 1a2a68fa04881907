-- Stands in front of each of the queue's scripts: the keys, the clock, and the steps that they share.
--
-- KEYS, always all of them, in one slot:
--   calls     hash  id -> record, as JSON: lane, stored, due, delay, attempts, tried, w (1: it waits for its lock), before
--                   (the id of the call before it in its lane; not looked at where it is the first); while it runs
--                   token, worker, claimed (when); when it is dead cause; error
--   payloads  hash  id -> payload
--   lanes     hash  lane -> id of its last call. Not a zset: finding a place among a million names takes long
--   nexts     hash  id -> id of the next call in its lane
--   pending   zset  id -> when it is due: all that wait
--   heads     zset  id -> when it may be claimed: of those that wait, the first of each lane
--   running   zset  id -> when its claim's lease is over
--   claims    hash  token -> id; for a minute after its end, '=' and how it ended
--   dead      zset  id -> when it died, with fractions: no two of one lane die at the same time
--   ended     zset  'd:' .. id (done), 'c:' .. id (cancelled), 't:' .. token, 's:' .. request to send one back
--                   -> when that is forgotten
-- ARGV[1]: the bell's channel; a call's own one has ':' .. id behind it. ARGV[2]: for how many ms an end is remembered.
-- Times are ms since 1970. What is never more than 14 digits long survives cjson.
--
-- Each script reads and refuses first, and then writes all or nothing: only its first write may fail, and its error is
-- the script's answer. pcall, so that it keeps its code on servers before 7.0 too.
local CALLS, PAYLOADS, LANES, NEXTS, PENDING = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local HEADS, RUNNING, CLAIMS, DEAD, ENDED = KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local BELL, REMEMBERED = ARGV[1], tonumber(ARGV[2])
-- For how long a claim's end, and a request, is remembered: far longer than anybody asks for the same thing again.
local CLAIM_REMEMBERED = 60000
-- How much of the payloads one answer carries, and the last one beyond that.
local LARGEST = 8 * 1024 * 1024

local clock = redis.call('TIME')
local now_exactly = clock[1] * 1000 + clock[2] / 1000
local now = math.floor(now_exactly)

-- The error of a first write, if it is refused.
local function refused(...)
  local reply = redis.pcall(...)
  return type(reply) == 'table' and reply.err and reply
end

-- A first write that changes nothing and takes no memory: after it, a server lets the others through even where it is
-- out of memory. Only what makes the queue longer may be refused for that.
local function begin()
  return refused('HDEL', CLAIMS, '')
end

local function read(id)
  local text = redis.call('HGET', CALLS, id)
  return text and cjson.decode(text)
end

local function write(id, record)
  redis.call('HSET', CALLS, id, cjson.encode(record))
end

-- May be forbidden to this user: then who waits finds out by timers.
local function ring()
  redis.pcall('PUBLISH', BELL, '')
end

local function tell_end(id)
  redis.pcall('PUBLISH', BELL .. ':' .. id, '')
end

-- Puts a call to the end of its lane. Whether it is the first one there.
local function append(id, record)
  local last = redis.call('HGET', LANES, record.lane)
  redis.call('HSET', LANES, record.lane, id)
  record.before = last or nil
  if last then
    redis.call('HSET', NEXTS, last, id)
  end
  return not last
end

-- Takes a call out of its lane. The id of the next one, if there is one.
local function unlink(id, record, is_first)
  local before = not is_first and record.before
  local after = redis.call('HGET', NEXTS, id)
  if after then
    redis.call('HDEL', NEXTS, id)
  end
  if before and after then
    redis.call('HSET', NEXTS, before, after)
    local next_record = read(after)
    next_record.before = before
    write(after, next_record)
  elseif before then
    redis.call('HDEL', NEXTS, before)
    redis.call('HSET', LANES, record.lane, before)
  elseif not after then
    redis.call('HDEL', LANES, record.lane)
  end
  return after
end

-- What there is to know of an end, as long as that is remembered.
local function is_remembered(member)
  local over = redis.call('ZSCORE', ENDED, member)
  return over and tonumber(over) > now
end

-- Forgets a few of the others on the way: more than are added.
local function remember(member, span)
  local over = redis.call('ZRANGEBYSCORE', ENDED, '-inf', now, 'LIMIT', 0, 16)
  for _, old in ipairs(over) do
    redis.call('ZREM', ENDED, old)
    if string.sub(old, 1, 2) == 't:' then
      redis.call('HDEL', CLAIMS, string.sub(old, 3))
    end
  end
  redis.call('ZADD', ENDED, now + span, member)
end

-- Puts a call to those that wait, as the first of its lane or not.
local function wait(id, record, is_first)
  write(id, record)
  redis.call('ZADD', PENDING, record.due, id)
  if is_first then
    redis.call('ZADD', HEADS, record.due, id)
  end
end

-- Ends the claim of a call that runs. Whoever asks again how that ended is told so, and a claim that arrives late takes
-- no other call in its stead.
local function unclaim(id, record, how)
  redis.call('ZREM', RUNNING, id)
  redis.call('HSET', CLAIMS, record.token, '=' .. how)
  remember('t:' .. record.token, CLAIM_REMEMBERED)
  record.token, record.worker, record.claimed = nil, nil, nil
end

-- Takes a call away from wherever it stands. Whether there is another one that may be claimed now: the next one of its
-- lane, whose lock was probably just released. It is planned for its delay from now, so that this look costs no attempt.
local function leave(id, record, how)
  if record.cause then
    redis.call('ZREM', DEAD, id)
    return false
  end
  local was_first = redis.call('ZREM', HEADS, id) == 1
  redis.call('ZREM', PENDING, id)
  if record.token then
    was_first = true
    unclaim(id, record, how)
  end
  local after = unlink(id, record, was_first)
  if not was_first or not after then
    return false
  end
  local next_record = read(after)
  local at = next_record.due
  if next_record.w == 1 then
    next_record.due = math.max(next_record.due, now + next_record.delay)
    write(after, next_record)
    redis.call('ZADD', PENDING, next_record.due, after)
    at = now
  end
  redis.call('ZADD', HEADS, at, after)
  return true
end

-- Ends a call: 'd:' done, 'c:' cancelled. Whether another one may be claimed now.
local function finish(id, record, kind, how)
  local promoted = leave(id, record, how)
  redis.call('HDEL', CALLS, id)
  redis.call('HDEL', PAYLOADS, id)
  remember(kind .. id, REMEMBERED)
  tell_end(id)
  return promoted
end

-- A call that is not tried again by itself. Whether another one may be claimed now.
local function bury(id, record, cause, error, how)
  local promoted = leave(id, record, how)
  record.cause, record.error = cause, error
  write(id, record)
  redis.call('ZADD', DEAD, now_exactly, id)
  tell_end(id)
  return promoted
end

-- A dead call waits again, behind all others of its lane. Whether it may be claimed now.
local function revive(id, record)
  leave(id, record)
  record.cause, record.error = nil, nil
  record.due, record.tried, record.w = now, 0, 1
  local is_first = append(id, record)
  wait(id, record, is_first)
  return is_first
end

