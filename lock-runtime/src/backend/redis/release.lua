-- KEYS: the lock; then, where others may stand in line for it, the fence counter and the line (see line/lib.lua).
-- ARGV: the claim's value, the ms that the lock stays taken or 0, the channel of those who wait beside the line (empty:
-- nobody is to be woken).
-- Answers 1 done, 0 gone, 2 held by something else. Changes only the claim's own value, and ends its own place in the
-- line. The first in line gets the lock; it is deleted if there is none. Sent twice, it finds another value then.
-- The publish may be forbidden to this user, as may be what has to do with the line: then waiters find out by their
-- timers.
local held = redis.pcall('GET', KEYS[1])
local first = nil
if held == ARGV[1] and ARGV[2] == '0' then
  -- Where nobody stands in line, this was measured to take the server no longer than to say how many do.
  first = KEYS[3] and redis.pcall('LPOP', KEYS[3])
  if type(first) ~= 'string' then
    redis.call('DEL', KEYS[1])
    if ARGV[3] ~= '' then
      redis.pcall('PUBLISH', ARGV[3], '')
    end
    return 1
  end
elseif not KEYS[3] then
  if held == ARGV[1] then
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    if ARGV[3] ~= '' then
      redis.pcall('PUBLISH', ARGV[3], '')
    end
    return 1
  end
  if type(held) == 'table' then
    return held
  end
  return held and 2 or 0
end

