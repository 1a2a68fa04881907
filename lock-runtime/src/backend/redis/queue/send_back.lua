-- ARGV: id, and what this request is called. Answers 1 when it was dead, else 0.
local id, request = ARGV[3], 's:' .. ARGV[4]
-- It was done, and asked for again: by now the call may wait, or have ended, or died once more.
if is_remembered(request) then
  return 1
end
local record = read(id)
if not record or not record.cause then
  return 0
end
local refusal = begin()
if refusal then
  return refusal
end
if revive(id, record) then
  ring()
end
remember(request, CLAIM_REMEMBERED)
return 1
