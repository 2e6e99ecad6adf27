-- Stores the provider's outcome of a charge: payment, ledger, order callback and event. No row, and no effect, unless the
-- payment is in the state in which it was read.
-- $1 payment id, $2 number of its attempt, $3 whether it was open, $4 the status, $5 payment_change, $6 postings, empty
-- without a capture, $7 whether the order must be called back, $8 delay of the callback and lease of a payment that waits,
-- $9 events, $10 time until the deadline of the new state, null without one; the deadline of a state that stays is kept.
with changed as (
    update payment as p
    set status = c.status::payment_status,
        authorised_minor = c.authorised_minor,
        captured_minor = c.captured_minor,
        sealed_token = c.sealed_token,
        reference_id = c.reference_id,
        authorization_code = c.authorization_code,
        response_code = c.response_code,
        response_message = c.response_message,
        next_action_type = c.next_action_type,
        next_action_url = c.next_action_url,
        result_id = c.result_id,
        seq = c.seq,
        attempt_open = c.attempt_open,
        deadline = case
            when p.status::text = c.status then coalesce(p.deadline, now() + $10::interval)
            else now() + $10::interval
        end,
        leased_until = case
            when c.status = 'pending' or c.attempt_open then now() + $8::interval
            when c.status = 'authorised' then
                case when p.status::text = c.status then coalesce(p.deadline, now() + $10::interval)
                else now() + $10::interval end
            else p.leased_until
        end,
        updated_at = now()
    from (select ($5::payment_change).*) as c
    where p.id = $1::uuid and p.attempt = $2::int and p.attempt_open = $3::boolean and p.status = $4::text::payment_status
    returning p.id, p.order_id, p.status, p.result_id, p.updated_at
),
posted as (
    insert into ledger_journal (kind, ref, payment_id, debit, credit, seller_id, currency, amount_minor)
    select
        l.kind::ledger_kind, l.ref, l.payment_id, l.debit::ledger_account, l.credit::ledger_account, l.seller_id,
        l.currency, l.amount_minor
    from changed
    cross join unnest($6::ledger_posting[]) as l
),
called_back as (
    insert into pending_order_callback (result_id, payment_id, order_id, status, due_at)
    select c.result_id, c.id, c.order_id, c.status::text, now() + $8::interval
    from changed as c
    where $7::boolean
)
select updated_at, outbox_append($9::outbox_event[])
from changed
