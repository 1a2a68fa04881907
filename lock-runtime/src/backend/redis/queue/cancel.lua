-- ARGV: id, whether it is remembered although there is none (1): then it cannot be stored any more. Answers 1 cancelled, 2
-- it runs, 0 there is no such call.
local id = ARGV[3]
local record = read(id)
if not record then
  if is_remembered('c:' .. id) then
    return 1
  end
  if ARGV[4] == '1' and not is_remembered('d:' .. id) then
    local refusal = begin()
    if refusal then
      return refusal
    end
    remember('c:' .. id, REMEMBERED)
  end
  return 0
end
if record.token then
  return 2
end
local refusal = begin()
if refusal then
  return refusal
end
if finish(id, record, 'c:') then
  ring()
end
return 1
