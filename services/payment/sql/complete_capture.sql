-- Stores the outcome of a capture attempt: payment, ledger, order callback and event. No row, and no effect, unless the
-- attempt is open: nothing else changes a payment while an attempt is open, and an attempt is closed once.
-- $1 payment id, $2 number of the attempt, $3 payment_change, $4 postings, empty without a capture, $5 whether the order
-- must be called back, $6 delay of the callback, $7 events.
with changed as (
    update payment as p
    set status = c.status::payment_status,
        captured_minor = c.captured_minor,
        token = c.token,
        reference_id = c.reference_id,
        authorization_code = c.authorization_code,
        response_code = c.response_code,
        response_message = c.response_message,
        result_id = c.result_id,
        seq = c.seq,
        attempt_open = c.attempt_open,
        updated_at = now()
    from (select ($3::payment_change).*) as c
    where p.id = $1::uuid and p.attempt = $2::int and p.attempt_open
    returning p.id, p.order_id, p.status, p.result_id, p.updated_at
),
posted as (
    insert into ledger_journal (kind, ref, payment_id, debit, credit, seller_id, currency, amount_minor)
    select
        l.kind::ledger_kind, l.ref, l.payment_id, l.debit::ledger_account, l.credit::ledger_account, l.seller_id,
        l.currency, l.amount_minor
    from changed
    cross join unnest($4::ledger_posting[]) as l
),
called_back as (
    insert into pending_order_callback (result_id, payment_id, order_id, status, due_at)
    select c.result_id, c.id, c.order_id, c.status::text, now() + $6::interval
    from changed as c
    where $5::boolean
)
select updated_at, outbox_append($7::outbox_event[])
from changed
