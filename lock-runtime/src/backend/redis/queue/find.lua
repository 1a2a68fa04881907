-- ARGV: id. Answers {standing, at, record, payload}; or 1 done, 2 cancelled, 0 nothing is known.
local id = ARGV[3]
local text = redis.call('HGET', CALLS, id)
if not text then
  return is_remembered('d:' .. id) and 1 or is_remembered('c:' .. id) and 2 or 0
end
local record = cjson.decode(text)
local standing, at = 'delayed', record.due
if record.token then
  standing, at = 'running', tonumber(redis.call('ZSCORE', RUNNING, id))
elseif record.cause then
  standing, at = 'dead', tonumber(redis.call('ZSCORE', DEAD, id))
elseif record.due <= now then
  standing = 'due'
end
return {standing, at, text, redis.call('HGET', PAYLOADS, id) or ''}
