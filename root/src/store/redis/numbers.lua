-- Numbers as decimal strings, because Lua's own are doubles and lie beyond 2^53.

local BILLION = 1000000000
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

-- a + b, exactly, for strings of any length; nil when it leaves the range.
local function add(a, b, range)
  local a_high, a_low = split(a)
  local b_high, b_low = split(b)
  local high, low = a_high + b_high, a_low + b_low
  -- The rest becomes less than a billion, then takes the sign of the whole.
  if low >= BILLION then
    high, low = high + 1, low - BILLION
  elseif low <= -BILLION then
    high, low = high - 1, low + BILLION
  end
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

local function highest(a, b)
  if #a > #b or (#a == #b and a > b) then
    return a
  end
  return b
end

