-- Acquires the idempotency lease of a request and inserts its payment as `pending`; no row if the key is stored already.
-- $1 new_payment, $2 dedup_record, $3 duration of both leases.
with acquired as materialized (
    select idempotency_acquire($2::dedup_record, ($1::new_payment).id, $3::interval) as recovery_id
)
insert into payment (
    id, order_id, user_id, initiator, expected_minor, amount_minor, currency, status, method, manual_capture,
    sealed_token, leased_until
)
select
    n.id, n.order_id, n.user_id, n.initiator::payment_initiator, n.expected_minor, n.amount_minor, n.currency, 'pending',
    n.method, n.manual_capture, n.sealed_token, now() + $3::interval
from (select ($1::new_payment).*) as n
cross join acquired
where acquired.recovery_id is not null
returning
    id, order_id, user_id, initiator::text, expected_minor, amount_minor, currency, status::text, manual_capture,
    authorised_minor, captured_minor, refunded_minor, method, sealed_token, reference_id, authorization_code,
    response_code, response_message, next_action_type, next_action_url, result_id, seq, attempt, attempt_kind::text,
    attempt_epoch, attempt_open, attempt_minor, 0::bigint as unchanged_s, false as overdue, created_at, updated_at
