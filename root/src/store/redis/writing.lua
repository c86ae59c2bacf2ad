-- Writes of a document that take any number of commands, and can be carried on from wherever they were broken off.
--
-- One HSET is in the server's log whole, or not at all. Several are logged as a transaction, and a Redis (7.0.15) that loses the
-- end of its log in the middle of a command of it keeps the commands before, and carries them out when it starts the time
-- after. So the first says that the document is half, and holds all that is to be written, as the field redo; the last of the
-- others is the first to say otherwise.

-- Values in one HSET: unpack() takes some 8,000.
local VALUES = 7800

-- Takes out the totals, which are the names of a topic's counters, too.
local function take_out_totals()
  local gone = {}
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.sub(field, 1, 6) == 'total:' then
      gone[#gone + 1] = field
    end
  end
  for first = 1, #gone, VALUES do
    redis.call('HDEL', KEYS[1], unpack(gone, first, math.min(first + VALUES - 1, #gone)))
  end
end

local function carry_on(writes)
  local begin = 1
  if writes[1] == 'forget' then
    take_out_totals()
    begin = 2
  end
  for first = begin, #writes, VALUES do
    redis.call('HSET', KEYS[1], unpack(writes, first, math.min(first + VALUES - 1, #writes)))
  end
end

-- Writes field, value, field, value ..., the version last. With 'forget' before all that, the totals go first.
local function put(writes)
  local is_large = #writes > VALUES or writes[1] == 'forget'
  if is_large then
    redis.call('HSET', KEYS[1], 'version', 'half of ' .. writes[#writes], 'redo', cjson.encode(writes))
  end
  carry_on(writes)
  if is_large then
    redis.call('HDEL', KEYS[1], 'redo')
  end
end

-- Finishes what was broken off; whether there was such a thing.
local function finish()
  local head = redis.call('HMGET', KEYS[1], 'version', 'redo')
  if not head[2] then
    return false
  end
  local is_half = head[1] and string.sub(head[1], 1, 8) == 'half of '
  if is_half then
    carry_on(cjson.decode(head[2]))
  end
  redis.call('HDEL', KEYS[1], 'redo')
  return is_half
end

