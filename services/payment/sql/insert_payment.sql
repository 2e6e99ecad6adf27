-- Inserts a payment as `pending`; no row if its id exists. `attempt` 1 stores its first attempt to capture with it.
-- $1 new_payment, $2 duration of the lease.
insert into payment (
    id, order_id, user_id, initiator, expected_minor, amount_minor, currency, status, method, token, attempt,
    attempt_epoch, attempt_open, leased_until
)
select
    n.id, n.order_id, n.user_id, n.initiator::payment_initiator, n.expected_minor, n.amount_minor, n.currency, 'pending',
    n.method, n.token, n.attempt, n.attempt_epoch, n.attempt > 0, now() + $2::interval
from (select ($1::new_payment).*) as n
on conflict (id) do nothing
returning
    id, order_id, user_id, initiator::text, expected_minor, amount_minor, currency, status::text, refunded_minor, method,
    token, reference_id, authorization_code, response_code, response_message, result_id, seq, attempt, attempt_epoch,
    attempt_open, created_at, updated_at
