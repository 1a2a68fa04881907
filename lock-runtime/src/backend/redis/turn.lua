-- Behind line/lib.lua. KEYS as there. ARGV: the claim's value, its ttl in ms, how many fences, its first lease in ms, for
-- how many ms it keeps its place without asking again, its channel, the number of this question.
-- Answers as acquire. Who finds the lock taken stands in line, where it stood if it did already. Who finds it free gives
-- it to the first in line that is alive, be that itself.
local me, ttl = ARGV[1], ARGV[2]
local held = redis.pcall('GET', KEYS[1])
if type(held) == 'table' then
  return held
end
local is_free = not held
local may_stand = true
-- Not LPOP: behind a write a server lets all others through where it is out of memory.
if is_free and type(redis.pcall('LINDEX', KEYS[3], 0)) == 'string' then
  held = grant()
  may_stand = held ~= me
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
  if may_stand then
    leave()
  end
  return fence
end
local place = now + ARGV[5] .. ' ' .. ARGV[4] .. ' ' .. ARGV[3] .. ' ' .. ARGV[6] .. ' ' .. ARGV[7] .. ' ' .. me
local _, index = own_place()
local stands
if index then
  stands = redis.pcall('LSET', KEYS[3], index, place)
else
  stands = redis.pcall('RPUSH', KEYS[3], place)
end
if not (type(stands) == 'table' and stands.err) and redis.call('PTTL', KEYS[3]) < tonumber(ARGV[5]) then
  -- Twice as much as is needed, so that it need not be set again by each question.
  redis.call('PEXPIRE', KEYS[3], 2 * ARGV[5])
end
return {0, redis.call('PTTL', KEYS[1]), held}
