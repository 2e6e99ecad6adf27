//! What happened leaves and acts once: outbox, relay, inbox, idempotency, dead letters.
