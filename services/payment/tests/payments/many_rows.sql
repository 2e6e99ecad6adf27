-- 20 000 payments, of which ten are pending, with as many refunds, callbacks, postings and operations of the provider.
insert into payment (
    id, order_id, user_id, initiator, amount_minor, currency, status, captured_minor, refunded_minor, method, leased_until
)
select
    ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, gen_random_uuid(),
    ('00000000-0000-7000-9000-' || lpad(to_hex(n % 4000), 12, '0'))::uuid, 'order', 1000, 'EUR',
    case when n % 2000 = 0 then 'pending'::payment_status else 'refunded' end,
    case when n % 2000 = 0 then 0 else 1000 end,
    case when n % 2000 = 0 then 0 else 1000 end,
    'card', now()
from generate_series(1, 20000) as n;

insert into refund_attempt (payment_id, n, refund_id, amount_minor, epoch, state, leased_until)
select id, 1, id, 1000, 0, case status when 'pending' then 'prepared' else 'succeeded' end, now()
from payment;

insert into pending_order_callback (result_id, payment_id, order_id, status, due_at)
select id, id, order_id, status::text, now()
from payment;

insert into ledger_journal (kind, ref, payment_id, debit, credit, seller_id, currency, amount_minor)
select 'capture', id, id, 'provider', 'seller', id, 'EUR', 1000
from payment;

insert into simulator.operation (key, kind, amount_minor, currency, outcome, reference, code, message, created_at)
select
    '0:' || id || ':capture:1', 'charge', 1000, 'EUR', 'succeeded', 'sim_' || id, 'approved', 'approved',
    now() - random() * interval '30 days'
from payment;

update payment set reference_id = 'sim_' || id;
update refund_attempt set reference_id = 'sim_r' || payment_id;

insert into payment_log (payment_id, log_message)
select id, 'a message'
from payment;

insert into provider_event (provider, event_id, kind, reference_id, processed_at)
select 'stripe', 'evt_' || id, 'payment_intent.succeeded', 'sim_' || id, now()
from payment;

insert into ledger_journal (kind, ref, payment_id, debit, credit, seller_id, currency, amount_minor)
select 'refund', refund_id, payment_id, 'seller', 'provider', payment_id, 'EUR', 1000
from refund_attempt;

analyze;
