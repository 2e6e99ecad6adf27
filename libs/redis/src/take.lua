-- Takes one token of each bucket, or none if one of them is empty.
--
-- KEYS: the buckets. ARGV: for each of them its burst and its tokens per second.
-- Returns whether tokens were taken (1 or 0), and then for each bucket how many whole tokens are left, and in how many
-- milliseconds there is one (0: now).
--
-- A bucket is a hash: n tokens at the time t, in milliseconds of the server's clock. One that has been full for a second is
-- deleted. One whose burst was lowered loses what does not fit.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local buckets, taken = {}, 1
for i, key in ipairs(KEYS) do
  local burst, rate = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local held = redis.call('HMGET', key, 'n', 't')
  local n, last = tonumber(held[1]) or burst, tonumber(held[2]) or now
  n = math.min(burst, n + math.max(0, now - last) * rate / 1000)
  if n < 1 then taken = 0 end
  buckets[i] = { n = n, burst = burst, rate = rate }
end

local answer = { taken }
for i, key in ipairs(KEYS) do
  local bucket = buckets[i]
  local n = bucket.n - taken
  redis.call('HSET', key, 'n', tostring(n), 't', now)
  redis.call('PEXPIRE', key, math.ceil(bucket.burst * 1000 / bucket.rate) + 1000)
  answer[2 * i] = math.floor(n)
  answer[2 * i + 1] = math.max(0, math.ceil((1 - n) * 1000 / bucket.rate))
end
return answer
