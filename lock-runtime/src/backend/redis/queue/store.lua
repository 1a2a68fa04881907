-- ARGV: id, lane, payload, delay, attempts, limit. Answers {1} stored, or {0, how many are} when it is full.
local id, lane = ARGV[3], ARGV[4]
if redis.call('HGET', CALLS, id) or is_remembered('d:' .. id) or is_remembered('c:' .. id) then
  return {1}
end
local count = redis.call('ZCARD', PENDING) + redis.call('ZCARD', RUNNING)
if count >= tonumber(ARGV[8]) then
  return {0, count}
end
-- Refused when the server is out of memory. The others of these change nothing, but a user who may not do one of them is
-- told so before the call is half-way in, and not only when it has a worker.
local denied = refused('HSET', PAYLOADS, id, ARGV[5])
if not denied then
  denied = begin() or refused('ZREM', RUNNING, '') or refused('ZADD', RUNNING, 'XX', 0, '')
    or refused('ZRANGEBYSCORE', RUNNING, 1, 0) or refused('ZRANGE', RUNNING, 1, 0) or refused('ZCOUNT', RUNNING, 1, 0)
  if denied then
    redis.pcall('HDEL', PAYLOADS, id)
  end
end
if denied then
  return denied
end
local record = {
  lane = lane,
  stored = now,
  due = now + tonumber(ARGV[6]),
  delay = tonumber(ARGV[6]),
  attempts = tonumber(ARGV[7]),
  tried = 0,
  w = 1,
}
local is_first = append(id, record)
wait(id, record, is_first)
if is_first then
  ring()
end
return {1}
