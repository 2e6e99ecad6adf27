-- The worker looks for claims that nobody settles every few seconds; nearly all are settled, and are kept for a day.

create index idempotency_unsettled on idempotency (created_at) where state = 'started';
