-- The end of a release where somebody may stand in line.
if held ~= ARGV[1] then
  leave()
  if type(held) == 'table' then
    return held
  end
  return held and 2 or 0
end
if ARGV[2] ~= '0' then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  look()
  redis.pcall('PUBLISH', ARGV[3], '')
  return 1
end
local next = grant(first)
if next == ARGV[1] then
  next = grant()
end
if not next then
  redis.call('DEL', KEYS[1])
  redis.pcall('PUBLISH', ARGV[3], '')
end
return 1
