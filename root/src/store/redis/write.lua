-- Writes what some cuts of one topic come to, if the document is the one that the root remembers.
--
-- What writing.lua defines stands before this.
--
-- KEYS[1]  the document, a hash
-- ERA      the era of the server process that is to run this
-- ARGV     1 how many fields are to be compared   2 how many values are to be written   3 how many gains
--          then the fields to be compared, then what they have to be ('' for one that is not there),
--          then what is to be written, as field, value, field, value ..., the version last,
--          then the fields that gain, then what each gains
-- Answers  {} plus the totals of those that gained, or 0 when the document is another, or merge.lua has to judge

-- Fields in one HMGET: unpack() takes some 8,000 values.
local CHUNK = 4000

local compared, written, gains = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local at = 3
local found = redis.call('HMGET', KEYS[1], unpack(ARGV, at + 1, at + compared))
at = at + compared
for i = 1, compared do
  if (found[i] or '') ~= ARGV[at + i] then
    return 0
  end
end
at = at + compared

local answer, writes = {}, {}
local fields = at + written
for first = 1, gains, CHUNK do
  local last = math.min(first + CHUNK - 1, gains)
  local totals = redis.call('HMGET', KEYS[1], unpack(ARGV, fields + first, fields + last))
  for i = first, last do
    local total = totals[i - first + 1] or '0'
    local number = #total <= 15 and tonumber(total)
    if not number or number % 1 ~= 0 then
      return 0
    end
    local sum = number + tonumber(ARGV[fields + gains + i])
    answer[i] = sum
    writes[2 * i - 1] = ARGV[fields + i]
    -- Left to themselves some versions write 100000000 as 1e+8.
    writes[2 * i] = string.format('%.0f', sum)
  end
end

for i = 1, written do
  writes[2 * gains + i] = ARGV[at + i]
end
put(writes)
return answer
