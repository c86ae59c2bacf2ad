-- Forgets a topic if its document stands at a certain version: the rule of machine/document.rs, in Redis.
--
-- What writing.lua and numbers.lua define stands before this.
--
-- KEYS[1]  the document, a hash
-- ERA      the era of the server process that is to run this
-- ARGV     1 the version's era   2 its number
-- Answers  {'unknown'}
--          {'moved', era, version}
--          {'gone', era, version, events, 1 if it was gone before, else 0}

-- Fields in one HMGET: unpack() takes some 8,000 values.
local CHUNK = 2000

local head = redis.call('HMGET', KEYS[1], 'version', 'era', 'forgotten')
if head[1] and not is_number(head[1]) and finish() then
  head = redis.call('HMGET', KEYS[1], 'version', 'era', 'forgotten')
end
local version, era, forgotten = head[1] or '0', head[2] or '0', head[3] or '0'
if not is_number(version) or not is_number(era) or not is_number(forgotten) then
  return damaged('version')
end
if version == '0' then
  return { 'unknown' }
end
era = highest(era, ERA)
local is_elsewhere = era ~= ARGV[1] or version ~= ARGV[2]
if forgotten == '0' and is_elsewhere then
  return { 'moved', era, version }
end

local has_totals, streams = false, {}
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.sub(field, 1, 6) == 'total:' then
    has_totals = true
  elseif string.sub(field, 1, 5) == 'leaf:' then
    streams[#streams + 1] = field
  end
end
if not has_totals then
  if forgotten == '0' then
    return { 'unknown' }
  end
  return { 'gone', era, version, forgotten, '1' }
end
if is_elsewhere then
  return { 'moved', era, version }
end

-- By field. The stream that undoes an import is led as far as the import has come.
local positions, undone = {}, {}
local import = '^leaf:(import%-' .. string.rep('%x', 32) .. ')/1$'
for first = 1, #streams, CHUNK do
  local last = math.min(first + CHUNK - 1, #streams)
  local values = redis.call('HMGET', KEYS[1], unpack(streams, first, last))
  for i = first, last do
    local field, value = streams[i], values[i - first + 1]
    if not string.match(value, '^%d+ %d+$') then
      return damaged(field)
    end
    positions[field] = value
    local leaf = string.match(field, import)
    if leaf then
      undone['leaf:' .. leaf .. '/2'] = value
    end
  end
end
local writes, events = { 'forget' }, '0'
for field, value in pairs(undone) do
  positions[field] = value
  writes[#writes + 1] = field
  writes[#writes + 1] = value
end
for _, value in pairs(positions) do
  events = add(events, string.match(value, ' (%d+)$'), U64) or '18446744073709551615'
end
local new_era, new_version = add(era, '1', U64) or era, add(version, '1', U64) or version
for _, value in ipairs({ 'era', new_era, 'forgotten', events, 'version', new_version }) do
  writes[#writes + 1] = value
end
put(writes)
return { 'gone', new_era, new_version, events, '0' }
