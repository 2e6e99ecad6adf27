//! HTTP to other services: deadlines, bounded retries, a circuit breaker, trace headers, internal tokens.
