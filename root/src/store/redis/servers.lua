-- The era of a server process: given once, and higher than every era that is known here.
--
-- KEYS[1]  a hash from process to era
-- ARGV     1 the process   2 the least era that it may have   3 the gap between two
-- Answers  the era

local PROCESSES = 64

local known = redis.call('HGET', KEYS[1], ARGV[1])
if known then
  return known
end
local era, lowest, oldest = tonumber(ARGV[2]), nil, nil
local eras = redis.call('HGETALL', KEYS[1])
for i = 1, #eras, 2 do
  local other = tonumber(eras[i + 1]) or 0
  era = math.max(era, other + tonumber(ARGV[3]))
  if not lowest or other < lowest then
    lowest, oldest = other, eras[i]
  end
end
if #eras >= 2 * PROCESSES then
  redis.call('HDEL', KEYS[1], oldest)
end
local text = string.format('%.0f', era)
redis.call('HSET', KEYS[1], ARGV[1], text)
return text
