-- Those who wait for a lock stand in line on the server.
--
-- KEYS: the lock, the fence counter, and
--   line    zset  a claim's value -> when it came, in microseconds
--   places  hash  a claim's value -> until when it is believed to be alive (ms since 1970), its first lease in ms, how
--                 many fences it wants, the number of its last question, the channel on which it is told
-- Both are gone when nobody in line can be alive any more. A message has the first of a claim's fences (the lock is its
-- own; 0: it is to look for itself), the number of its last question before that, and its value.
-- A client that knows nothing of us may have left anything under these names, and this user may be forbidden to use them:
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

-- The lease, the fences, the last question and the channel of a claim in line that is alive.
local function living(claim)
  local place = redis.pcall('HGET', KEYS[4], claim)
  if type(place) ~= 'string' then
    return nil
  end
  local alive_until, lease, count, question, channel = string.match(place, '^(%d+) (%d+) (%d+) (%d+) (.*)$')
  if alive_until and tonumber(alive_until) >= now then
    return lease, count, question, channel
  end
end

-- The first one in line is to look: what it goes by is not true any more.
local function look()
  local first = redis.pcall('ZRANGE', KEYS[3], 0, 0)[1]
  local _, _, question, channel = living(first or '')
  if channel then
    redis.pcall('PUBLISH', channel, '0 ' .. question .. ' ' .. first)
  end
end

-- Gives the lock to the first one of so many in line that is alive, and tells it, and the next one, which waits for the end
-- of this lease from here on. Its value, and how many are left. If that is the claim of this call, which needs no word of
-- it, it is only taken out of the line.
-- The first write takes no memory: after it a server lets the others through even where it is out of memory.
local function grant(waiting)
  local left = waiting
  while left > 0 and left > waiting - MOST_DEAD do
    local claim = redis.pcall('ZPOPMIN', KEYS[3])[1]
    if not claim then
      return nil, 0
    end
    left = left - 1
    if claim == ARGV[1] then
      redis.pcall('HDEL', KEYS[4], claim)
      return claim, left
    end
    local lease, count, question, channel = living(claim)
    redis.pcall('HDEL', KEYS[4], claim)
    if lease then
      local fence = fences(count)
      local set = fence and redis.pcall('SET', KEYS[1], claim, 'PX', lease)
      if set and not set.err then
        redis.pcall('PUBLISH', channel, fence .. ' ' .. question .. ' ' .. claim)
        if left > 0 then
          look()
        end
        return claim, left
      end
      redis.pcall('PUBLISH', channel, '0 ' .. question .. ' ' .. claim)
      return nil, left
    end
  end
  return nil, left
end

