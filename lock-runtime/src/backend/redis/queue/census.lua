-- Answers {due, delayed, running, dead, for how many ms the first one is due (-1: none is), now}.
local due = redis.call('ZCOUNT', PENDING, '-inf', now)
local oldest = -1
if due > 0 then
  oldest = now - tonumber(redis.call('ZRANGE', PENDING, 0, 0, 'WITHSCORES')[2])
end
return {
  due, redis.call('ZCARD', PENDING) - due, redis.call('ZCARD', RUNNING), redis.call('ZCARD', DEAD), oldest, now,
}
