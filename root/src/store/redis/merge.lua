-- Merges one cut into one topic document: the rule of machine/document.rs, in Redis.
--
-- KEYS[1]  the document, a hash
-- ARGV     1 the stream's field   2 from   3 to   4 events   5 era floor
--          then field and delta of each counter
-- Answers  {'have', lsn, events, era, version}
--          {'overflow'}
--          {'applied', era before, version before, era, version, events, total, total, ...}
--
-- Everything is checked before the first write: an error halfway would leave half a cut behind.
-- Numbers stay decimal strings: Lua's own are doubles and lie beyond 2^53.

local BILLION = 1000000000
-- Fields in one call: unpack() takes some 8,000 values.
local CHUNK = 2000

-- The ends of a range, as billions and the rest.
local I64 = { high = 9223372036, low = 854775807, low_negative = 854775808 }
local U64 = { high = 18446744073, low = 709551615, low_negative = 0 }

-- A number as billions and the rest, both with its sign.
local function split(text)
  local sign, digits = 1, text
  if string.sub(text, 1, 1) == '-' then
    sign, digits = -1, string.sub(text, 2)
  end
  local high = tonumber(string.sub(digits, 1, -10)) or 0
  return sign * high, sign * tonumber(string.sub(digits, -9))
end

-- a + b, exactly; nil when it leaves the range.
local function add(a, b, range)
  if #a <= 15 and #b <= 15 then
    return string.format('%.0f', tonumber(a) + tonumber(b))
  end
  local a_high, a_low = split(a)
  local b_high, b_low = split(b)
  local high, low = a_high + b_high, a_low + b_low
  if low >= BILLION or (high < 0 and low > 0) then
    high, low = high + 1, low - BILLION
  elseif low <= -BILLION or (high > 0 and low < 0) then
    high, low = high - 1, low + BILLION
  end
  -- After a carry the signs may still differ.
  if high < 0 and low > 0 then
    high, low = high + 1, low - BILLION
  elseif high > 0 and low < 0 then
    high, low = high - 1, low + BILLION
  end
  local negative = high < 0 or low < 0
  high, low = math.abs(high), math.abs(low)
  local low_end = negative and range.low_negative or range.low
  if high > range.high or (high == range.high and low > low_end) then
    return nil
  end
  local digits = high > 0 and string.format('%.0f%09.0f', high, low) or string.format('%.0f', low)
  return negative and '-' .. digits or digits
end

local function damaged(field)
  return redis.error_reply('DAMAGED the field ' .. field .. ' of ' .. KEYS[1] .. ' is not what Countree writes')
end

local function is_number(text)
  return string.find(text, '^-?%d+$') ~= nil
end

local stream, from, to = ARGV[1], ARGV[2], ARGV[3]
local head = redis.call('HMGET', KEYS[1], stream, 'version', 'era')
local lsn, events = '0', '0'
if head[1] then
  lsn, events = string.match(head[1], '^(%d+) (%d+)$')
  if not lsn then
    return damaged(stream)
  end
end
local version, era = head[2] or '0', head[3] or '0'
if not is_number(version) or not is_number(era) then
  return damaged('version')
end
if lsn ~= from or from == to then
  return { 'have', lsn, events, era, version }
end

local new_events = add(events, ARGV[4], U64)
local new_version = add(version, '1', U64)
if not new_events or not new_version then
  return { 'overflow' }
end
local new_era, floor = era, ARGV[5]
if #floor > #era or (#floor == #era and floor > era) then
  new_era = floor
end

local answer = { 'applied', era, version, new_era, new_version, new_events }
local writes = { stream, to .. ' ' .. new_events, 'version', new_version, 'era', new_era }
for first = 6, #ARGV, 2 * CHUNK do
  local last = math.min(first + 2 * CHUNK - 2, #ARGV - 1)
  local fields = {}
  for i = first, last, 2 do
    fields[#fields + 1] = ARGV[i]
  end
  local totals = redis.call('HMGET', KEYS[1], unpack(fields))
  for i = 1, #fields do
    local total = totals[i] or '0'
    if not is_number(total) then
      return damaged(fields[i])
    end
    local sum = add(total, ARGV[first + 2 * i - 1], I64)
    if not sum then
      return { 'overflow' }
    end
    answer[#answer + 1] = sum
    writes[#writes + 1] = fields[i]
    writes[#writes + 1] = sum
  end
end

for first = 1, #writes, 2 * CHUNK do
  redis.call('HSET', KEYS[1], unpack(writes, first, math.min(first + 2 * CHUNK - 1, #writes)))
end
return answer
