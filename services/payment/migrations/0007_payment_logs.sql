-- Messages of the provider about a payment (webhooks), each stored once.
create table provider_event (
    provider     text not null,
    event_id     text not null,
    kind         text not null,
    -- The provider's id of the charge that the message is about.
    reference_id text,
    received_at  timestamptz not null default now(),
    -- Null until the payment was compared with the provider.
    processed_at timestamptz,
    -- When it is processed again; null once it is processed.
    due_at       timestamptz,
    tries        int not null default 0,
    constraint provider_event_once primary key (provider, event_id)
);
create index provider_event_due on provider_event (due_at) where processed_at is null;
create index provider_event_processed on provider_event (processed_at);
create index provider_event_reference on provider_event (reference_id);
create index payment_reference on payment (reference_id) where reference_id is not null;

-- Everything that happened to a payment, as far as its rows say it. `place` orders entries of one moment.
create view payment_logs as
select
    id as payment_id, created_at as at, 1 as place, 'created' as kind, coalesce(amount_minor, expected_minor) as amount_minor,
    currency, null::text as reference_id, 'requested by the ' || initiator::text as log_message
from payment
union all
select
    l.payment_id, l.at, 2, 'note', null, null, null, l.log_message
from payment_log as l
union all
select
    p.id, e.received_at, 3, 'provider_event', null, null, e.reference_id, e.kind || ' (' || e.event_id || ')'
from payment as p
join provider_event as e on e.reference_id = p.reference_id
union all
select
    id, updated_at, 4, status::text, nullif(greatest(authorised_minor, 0), 0), currency, reference_id,
    concat_ws(': ', response_code, response_message)
from payment
where status in ('declined', 'failed', 'voided', 'authorised') or (status = 'pending' and next_action_type is not null)
union all
select
    p.id, j.at, 4, 'captured', j.amount_minor, j.currency, p.reference_id,
    concat_ws(': ', p.response_code, p.response_message)
from payment as p
join ledger_journal as j on j.ref = p.id and j.kind = 'capture'
union all
select
    a.payment_id, a.created_at, 5, 'refund_requested', a.amount_minor, p.currency, null, 'refund ' || a.refund_id
from refund_attempt as a
join payment as p on p.id = a.payment_id
union all
select
    a.payment_id, a.updated_at, 6, 'refund_' || a.state, a.amount_minor, p.currency, a.reference_id,
    'refund ' || a.refund_id
from refund_attempt as a
join payment as p on p.id = a.payment_id
where a.state <> 'prepared';
