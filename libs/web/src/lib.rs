//! The axum edge: bodies and queries with problem answers, who is asking, idempotency keys, pages, internal tokens.
