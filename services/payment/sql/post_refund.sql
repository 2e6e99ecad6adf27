-- Posts a refund to the ledger and enqueues the order callback. Violates ledger_journal_once if the refund is posted.
-- $1 postings, $2 payment id, $3 whether the order must be called back, $4 delay of the callback.
with posted as (
    insert into ledger_journal (kind, ref, payment_id, debit, credit, seller_id, currency, amount_minor)
    select
        l.kind::ledger_kind, l.ref, l.payment_id, l.debit::ledger_account, l.credit::ledger_account, l.seller_id,
        l.currency, l.amount_minor
    from unnest($1::ledger_posting[]) as l
)
insert into pending_order_callback (result_id, payment_id, order_id, status, due_at)
select p.result_id, p.id, p.order_id, p.status::text, now() + $4::interval
from payment as p
where p.id = $2::uuid and $3::boolean
