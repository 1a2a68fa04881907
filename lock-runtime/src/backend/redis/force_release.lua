-- KEYS: the lock. ARGV: the channel of those who wait. Answers whether there was a lock.
-- GET first: a value of another type is no lock and must stay.
if not redis.call('GET', KEYS[1]) then
  return 0
end
redis.call('DEL', KEYS[1])
redis.pcall('PUBLISH', ARGV[1], '')
return 1
