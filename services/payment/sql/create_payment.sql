-- Acquires the idempotency lease of a request and inserts its payment as `pending`; no row if the key is stored already.
-- $1 new_payment, $2 dedup_record, $3 duration of both leases.
with acquired as materialized (
    select idempotency_acquire($2::dedup_record, ($1::new_payment).id, $3::interval) as recovery_id
)
insert into payment (
    id, order_id, user_id, initiator, expected_minor, amount_minor, currency, status, method, token, leased_until
)
select
    n.id, n.order_id, n.user_id, n.initiator::payment_initiator, n.expected_minor, n.amount_minor, n.currency, 'pending',
    n.method, n.token, now() + $3::interval
from (select ($1::new_payment).*) as n
cross join acquired
where acquired.recovery_id is not null
returning
    id, order_id, user_id, initiator::text, expected_minor, amount_minor, currency, status::text, refunded_minor, method,
    token, reference_id, authorization_code, response_code, response_message, result_id, seq, attempt, attempt_epoch,
    attempt_open, created_at, updated_at
