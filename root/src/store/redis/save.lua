-- Replaces the registry iff it is at the expected revision.
--
-- KEYS[1]  the registry, a hash
-- ARGV     1 the expected revision (0: there is none)   2 the next   3 the text
-- Answers  1 replaced   0 not

if (redis.call('HGET', KEYS[1], 'revision') or '0') ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'revision', ARGV[2], 'text', ARGV[3])
return 1
