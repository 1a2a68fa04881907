-- Behind line/lib.lua. KEYS as there. ARGV: the claim's value, its ttl in ms, how many fences, its first lease in ms, for
-- how many ms it keeps its place without asking again, its channel, the number of this question.
-- Answers as acquire. Who finds the lock taken stands in line, where it stood if it did already. Who finds it free gives
-- it to the first in line that is alive, be that itself.
local me, ttl = ARGV[1], ARGV[2]
local held = redis.pcall('GET', KEYS[1])
if type(held) == 'table' then
  return held
end
local is_free, is_in_line = not held, false
local waiting = redis.pcall('ZCARD', KEYS[3])
if type(waiting) ~= 'table' and waiting > 0 then
  if is_free then
    held = grant(waiting)
  end
  is_in_line = held ~= me or not is_free
end
if not held or held == me then
  -- Its own from an earlier call or by a release, perhaps for its first lease only: PEXPIRE, which works when the server
  -- is out of memory.
  local done
  if is_free then
    done = redis.pcall('SET', KEYS[1], me, 'PX', ttl)
  else
    done = redis.pcall('PEXPIRE', KEYS[1], ttl)
  end
  if type(done) == 'table' and done.err then
    return done
  end
  local fence, refused = fences(ARGV[3])
  if refused then
    if is_free then
      redis.call('DEL', KEYS[1])
    end
    return refused
  end
  if is_in_line then
    redis.pcall('ZREM', KEYS[3], me)
    redis.pcall('HDEL', KEYS[4], me)
  end
  return fence
end
local place = now + ARGV[5] .. ' ' .. ARGV[4] .. ' ' .. ARGV[3] .. ' ' .. ARGV[7] .. ' ' .. ARGV[6]
local stands = redis.pcall('ZADD', KEYS[3], 'NX', micros, me)
if type(stands) ~= 'table' then
  if type(redis.pcall('HSET', KEYS[4], me, place)) == 'table' then
    redis.pcall('ZREM', KEYS[3], me)
  elseif redis.call('PTTL', KEYS[4]) < tonumber(ARGV[5]) then
    -- Both have the same time, and twice as much as is needed, so that it need not be set again by each question.
    redis.call('PEXPIRE', KEYS[3], 2 * ARGV[5])
    redis.call('PEXPIRE', KEYS[4], 2 * ARGV[5])
  end
end
return {0, redis.call('PTTL', KEYS[1]), held}
