-- Inserts a payment as `pending`; no row if its id exists. `attempt` 1 stores its first attempt to charge with it, which
-- violates payment_one_live_of_an_order if another payment of the order holds money.
-- $1 new_payment, $2 duration of the lease.
insert into payment (
    id, order_id, user_id, initiator, expected_minor, amount_minor, currency, status, method, manual_capture,
    sealed_token, attempt, attempt_epoch, attempt_open, leased_until
)
select
    n.id, n.order_id, n.user_id, n.initiator::payment_initiator, n.expected_minor, n.amount_minor, n.currency, 'pending',
    n.method, n.manual_capture, n.sealed_token, n.attempt, n.attempt_epoch, n.attempt > 0, now() + $2::interval
from (select ($1::new_payment).*) as n
on conflict (id) do nothing
returning
    id, order_id, user_id, initiator::text, expected_minor, amount_minor, currency, status::text, manual_capture,
    authorised_minor, captured_minor, refunded_minor, method, sealed_token, reference_id, authorization_code,
    response_code, response_message, next_action_type, next_action_url, result_id, seq, attempt, attempt_kind::text,
    attempt_epoch, attempt_open, attempt_minor, 0::bigint as unchanged_s, false as overdue, created_at, updated_at
