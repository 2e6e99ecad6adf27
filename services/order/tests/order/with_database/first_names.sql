-- An order with the JSON keys that its first release stored.
insert into orders (
    id, number, user_id, currency, total_minor, expires_at, created_at, status, payment_status, hold, declines, version,
    event_seq, updated_at, phase, saga
)
values (
    '00000000-0000-0000-0000-0000000000a1', 'A-1000001', '00000000-0000-0000-0000-0000000000a2', 'EUR', 1999, now(), now(),
    'cancelled', 'failed', 1, 1, 3, 2, now(), 'done',
    '{"hold": "ending", "give_back": true, "captured": null, "refunds": [],
      "over": ["00000000-0000-0000-0000-0000000000a3"], "own": null, "paying_since": null, "not_before": null, "asked": 3,
      "shortage": null, "failures": 2, "failing_since": null}'
);

insert into order_event (order_id, seq, kind, data, at)
values
(
    '00000000-0000-0000-0000-0000000000a1', 1, 'order.created',
    '{"created": {"id": "00000000-0000-0000-0000-0000000000a1", "number": "A-1000001",
      "user": "00000000-0000-0000-0000-0000000000a2", "cart": null, "lines": [],
      "total": {"amount": 1999, "currency": "EUR"}, "address": null, "expires_at": "2026-01-02T03:19:05Z",
      "created_at": "2026-01-02T03:04:05Z", "version": 1, "facts": 1, "updated_at": "2026-01-02T03:04:05Z",
      "standing": {"status": "created", "payment_status": "unpaid", "payment": null, "hold": 0, "declines": 0}}}',
    now()
),
(
    '00000000-0000-0000-0000-0000000000a1', 2, 'order.placed',
    '{"changed": {"status": "pending", "payment_status": "unpaid", "payment": null, "hold": 1, "declines": 0}}',
    now()
);

insert into idempotency (scope, route, key, hash, state, answer)
values
(
    'user', 'DELETE /api/v1/orders', 'a', '', 'done',
    '{"done": {"id": "00000000-0000-0000-0000-0000000000a1", "number": "A-1000001",
      "user": "00000000-0000-0000-0000-0000000000a2", "cart": null, "lines": [],
      "total": {"amount": 1999, "currency": "EUR"}, "address": null, "expires_at": "2026-01-02T03:19:05Z",
      "created_at": "2026-01-02T03:04:05Z", "version": 3, "facts": 2, "updated_at": "2026-01-02T03:04:05Z",
      "standing": {"status": "cancelled", "payment_status": "failed", "payment": null, "hold": 1, "declines": 1}}}'
),
('user', 'POST /api/v1/orders', 'b', '', 'done', '{"status": 201, "location": null, "body": {}}');
