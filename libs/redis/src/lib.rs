//! Redis as a hint: a pool, the key namespace, cache-aside, a token bucket.
