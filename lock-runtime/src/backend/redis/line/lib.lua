-- Those who wait for a lock stand in line on the server.
--
-- KEYS: the lock, the fence counter, and
--   line    list  a place for each of them, in the order in which they came: until when its claim is believed to be alive
--                 (ms since 1970), its first lease in ms, how many fences it wants, the channel on which it is told, the
--                 number of its last question, and its value
-- It is gone when nobody in it can be alive any more. A message has the first of a claim's fences (the lock is its own;
-- 0: it is to look for itself), the number of its last question before that, and its value.
-- A list, and all of a place in it: with a sorted set and a hash a release that gives the lock on was measured to take the
-- server a fifth longer. A place is found by looking at all of them, which takes it 0.2 us for each; there is one for each
-- process that waits.
-- A client that knows nothing of us may have left anything under this name, and this user may be forbidden to use it:
-- pcall, and then it is as if nobody stood in line.
local time = redis.call('TIME')
local micros = time[1] .. string.sub('00000' .. time[2], -6)
local now = tonumber(string.sub(micros, 1, -4))
-- How many dead ones are passed over in one call: it must not take long.
local MOST_DEAD = 1000

-- The first of so many fences, larger than every one before; or nothing and the refusal.
local function fences(count)
  local fence, up_to = micros, micros
  if count ~= '1' then
    -- Of small numbers where that will do, and not of 16 digits: that was measured to be slow.
    local behind = time[2] + count - 1
    if behind < 1000000 then
      up_to = time[1] .. string.sub('00000' .. behind, -6)
    else
      up_to = string.format('%.0f', micros + count - 1)
    end
  end
  local last = redis.pcall('GETSET', KEYS[2], up_to)
  local is_counted = type(last) ~= 'table'
  if not is_counted then
    -- A user may be forbidden just this command.
    last = redis.pcall('GET', KEYS[2])
  end
  if type(last) == 'table' then
    return nil, last
  end
  if not is_counted or (last and (#last ~= #fence or last >= fence)) then
    -- The counter is ahead of the time, or was not written by us.
    last = tonumber(last) or 0
    if last >= tonumber(fence) then
      fence = string.format('%.0f', last + 1)
      up_to = string.format('%.0f', last + count)
    end
    local counted = redis.pcall('SET', KEYS[2], up_to)
    if counted.err then
      return nil, counted
    end
  end
  return fence
end

-- The parts of a place, with the end of a message between them: the last question and the claim.
local function parts(place)
  return string.match(place, '^(%d+) (%d+) (%d+) (%S+) ((%d+) (.*))$')
end

-- The place of this call's claim, and its index; nothing where it does not stand in line.
local function own_place()
  local places = redis.pcall('LRANGE', KEYS[3], 0, -1)
  local ending = ' ' .. ARGV[1]
  for i = 1, #places do
    if string.sub(places[i], -#ending) == ending then
      return places[i], i - 1
    end
  end
end

local function leave()
  local place = own_place()
  if place then
    redis.pcall('LREM', KEYS[3], 1, place)
  end
end

-- The first one in line is to look: what it goes by is not true any more.
local function look()
  local first = redis.pcall('LINDEX', KEYS[3], 0)
  if type(first) == 'string' then
    local alive_until, _, _, channel, ending = parts(first)
    if alive_until and tonumber(alive_until) >= now then
      redis.pcall('PUBLISH', channel, '0 ' .. ending)
    end
  end
end

-- Gives the lock to the first one in line that is alive, and tells it, and the next one, which waits for the end of this
-- lease from here on. Its value. If that is the claim of this call, which needs no word of it, it is only taken out of the
-- line. `place`: of the first one, which was taken out before.
-- The first write takes no memory: after it a server lets the others through even where it is out of memory.
local function grant(place)
  for _ = 1, MOST_DEAD do
    place = place or redis.pcall('LPOP', KEYS[3])
    if type(place) ~= 'string' then
      return nil
    end
    local alive_until, lease, count, channel, ending, _, claim = parts(place)
    if claim == ARGV[1] then
      return claim
    end
    if alive_until and tonumber(alive_until) >= now then
      local fence = fences(count)
      local set = fence and redis.pcall('SET', KEYS[1], claim, 'PX', lease)
      if set and not set.err then
        redis.pcall('PUBLISH', channel, fence .. ' ' .. ending)
        look()
        return claim
      end
      redis.pcall('PUBLISH', channel, '0 ' .. ending)
      return nil
    end
    place = nil
  end
end

