-- The end of a release where somebody stands in line.
if ARGV[2] ~= '0' then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  look()
  redis.pcall('PUBLISH', ARGV[3], '')
  return 1
end
local next, left = grant(waiting)
if next == ARGV[1] then
  next = grant(left)
end
if not next then
  redis.call('DEL', KEYS[1])
  redis.pcall('PUBLISH', ARGV[3], '')
end
return 1
