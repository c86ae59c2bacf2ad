-- Makes a document whole of which a merge was cut in two.
--
-- KEYS[1]  the document, a hash
-- ARGV     1 whether half of a merge is to be taken as it is: 0 or 1
-- Answers  'whole', 'finished', 'accepted', or what the version says

if finish() then
  return 'finished'
end
local version = redis.call('HGET', KEYS[1], 'version') or '0'
local number = string.match(version, '^half of (%d+)$')
if not number then
  return 'whole'
end
if ARGV[1] ~= '1' then
  return version
end
redis.call('HSET', KEYS[1], 'version', number)
return 'accepted'
