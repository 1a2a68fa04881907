-- KEYS: the lock; the fence counter (left out where a cluster has the two on different nodes for a moment). ARGV: the
-- claim's value, its ttl in ms, how many fences.
-- Answers the first of its fences when the claim holds the lock now (-1 without a counter), {0, pttl, holder's value}
-- when another one does. A claim that is sent twice is granted again.
-- A free lock costs three commands, and a fence is put together as text: Lua's numbers were measured to be slow.
-- pcall, and the error as the answer: so it keeps its code on servers before 7.0 too. An error means that nothing was
-- done: what was set before it is taken back.
local set = redis.pcall('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])
if not set or set.err then
  local held = redis.pcall('GET', KEYS[1])
  if type(held) == 'table' then
    return held
  end
  if held and held ~= ARGV[1] then
    return {0, redis.call('PTTL', KEYS[1]), held}
  end
  if set then
    return set
  end
end
local fence, refused = -1, nil
if KEYS[2] then
  local time = redis.pcall('TIME')
  if time.err then
    refused = time
  else
    fence = time[1] .. string.sub('00000' .. time[2], -6)
    local up_to = fence
    if ARGV[3] ~= '1' then
      up_to = string.format('%.0f', fence + ARGV[3] - 1)
    end
    local last = redis.pcall('GETSET', KEYS[2], up_to)
    local is_counted = type(last) ~= 'table'
    if not is_counted then
      -- A user may be forbidden just this command.
      last = redis.pcall('GET', KEYS[2])
    end
    if type(last) == 'table' then
      refused = last
    elseif not is_counted or (last and (#last ~= #fence or last >= fence)) then
      -- The counter is ahead of the time, or was not written by us.
      last = tonumber(last) or 0
      if last >= tonumber(fence) then
        fence = string.format('%.0f', last + 1)
        up_to = string.format('%.0f', last + ARGV[3])
      end
      local counted = redis.pcall('SET', KEYS[2], up_to)
      refused = counted.err and counted
    end
  end
end
if refused then
  if set then
    redis.call('DEL', KEYS[1])
  end
  return refused
end
if not set then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return fence
