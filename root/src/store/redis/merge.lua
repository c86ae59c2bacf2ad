-- Merges one cut into one topic document: the rule of machine/document.rs, in Redis.
--
-- What writing.lua and numbers.lua define stands before this.
--
-- KEYS[1]  the document, a hash
-- ERA      the era of the server process that is to run this; it has eras of its own up to ERA_GAP after it
-- ARGV     1 the stream's field   2 from   3 to   4 events   5 the era asked for   6 how many counters
--          then each counter's field, then each counter's delta
-- Answers  {'have', lsn, events, era, version}
--          {'overflow'}
--          {'applied', era before, version before, era, version, events, total, total, ...}
--
-- Everything is checked before the first write: an error halfway would leave half a cut behind.
-- Only totals and deltas of at most 15 digits, as nearly all are, are added as numbers, and answered as such.

-- Fields in one HMGET: unpack() takes some 8,000 values.
local CHUNK = 2000

local stream, from, to = ARGV[1], ARGV[2], ARGV[3]
local head = redis.call('HMGET', KEYS[1], stream, 'version', 'era')
if head[2] and not is_number(head[2]) and finish() then
  head = redis.call('HMGET', KEYS[1], stream, 'version', 'era')
end
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
if version ~= '0' then
  era = highest(era, ERA)
end
if lsn ~= from or from == to then
  return { 'have', lsn, events, era, version }
end

local new_events = add(events, ARGV[4], U64)
local new_version = add(version, '1', U64)
if not new_events or not new_version then
  return { 'overflow' }
end
local new_era = highest(era, ERA)
-- One of another process is not taken: it may be the one that was before.
local after = tonumber(ARGV[5]) - tonumber(ERA)
if after >= 0 and after < ERA_GAP then
  new_era = highest(new_era, ARGV[5])
end

local answer = { 'applied', era, version, new_era, new_version, new_events }
local count = tonumber(ARGV[6])
local writes = { stream, to .. ' ' .. new_events, 'era', new_era }
local used = #writes
for first = 1, count, CHUNK do
  local last = math.min(first + CHUNK - 1, count)
  local totals = redis.call('HMGET', KEYS[1], unpack(ARGV, 6 + first, 6 + last))
  for i = first, last do
    local field, delta, total = ARGV[6 + i], ARGV[6 + count + i], totals[i - first + 1] or '0'
    local sum, text
    if #total <= 15 and #delta <= 15 then
      local number = tonumber(total)
      if not number or number % 1 ~= 0 then
        return damaged(field)
      end
      sum = number + tonumber(delta)
      -- Left to themselves some versions write 100000000 as 1e+8.
      text = string.format('%.0f', sum)
    else
      if not is_number(total) then
        return damaged(field)
      end
      sum = add(total, delta, I64)
      if not sum then
        return { 'overflow' }
      end
      text = sum
    end
    answer[6 + i] = sum
    writes[used + 1], writes[used + 2] = field, text
    used = used + 2
  end
end

writes[used + 1], writes[used + 2] = 'version', new_version
put(writes)
return answer
