-- Tokens are stored encrypted, a charge may be authorised first and captured or voided later, and may wait for the payer.

drop view payment_record;
drop type new_payment;
drop type payment_change;

-- The token of a payment that is not completed yet, encrypted by the service. Tokens in clear are not kept: a payment with
-- an open attempt is resolved by its provider key, and one without fails and may be tried again.
alter table payment
    drop constraint payment_settled_has_no_token,
    drop column token,
    add column sealed_token bytea,
    add constraint payment_settled_has_no_token check (sealed_token is null or status <= 'failed');

-- Authorisation and capture as two steps. `attempt_kind`: what the newest attempt does. `attempt_minor`: the amount that an
-- attempt to capture an authorised payment takes; what remains of the authorisation is released.
create type payment_attempt_kind as enum ('charge', 'capture', 'void');
alter table payment
    add column manual_capture boolean not null default false,
    add column authorised_minor bigint not null default 0,
    add column attempt_kind payment_attempt_kind not null default 'charge',
    add column attempt_minor bigint,
    -- What the payer must do before the charge can go on.
    add column next_action_type text,
    add column next_action_url text,
    -- Until when the payer may act (`pending`), or until when an authorisation is kept (`authorised`).
    add column deadline timestamptz,
    -- A payment of an earlier release, which allowed several captured payments of one order.
    add column duplicate boolean not null default false;

update payment as p
set duplicate = true
from (
    select id, row_number() over (partition by order_id order by attempt_open desc, status desc, id) as place
    from payment
    where attempt_open or status in ('captured', 'partially_refunded')
) as live
where live.id = p.id and live.place > 1;

alter table payment
    drop constraint payment_open_attempt_is_pending,
    add constraint payment_open_attempt_is_unfinished check (
        not attempt_open or (status in ('pending', 'authorised') and amount_minor is not null)),
    add constraint payment_attempt_fits_state check (
        not attempt_open or (attempt_kind = 'charge') = (status = 'pending')),
    add constraint payment_authorised_has_money check (
        authorised_minor between 0 and coalesce(amount_minor, 0) and (status <> 'authorised' or authorised_minor > 0)),
    add constraint payment_only_pending_waits_for_its_payer check (next_action_type is null or status = 'pending');

drop index payment_pending;
create index payment_unfinished on payment (leased_until) where status in ('pending', 'authorised');

-- An order has at most one payment that holds or holds back money, or may be about to.
create unique index payment_one_live_of_an_order on payment (order_id)
    where not duplicate and (attempt_open or status in ('authorised', 'captured', 'partially_refunded'));

-- A payment as the service reads it.
create view payment_record as
select
    id, order_id, user_id, initiator::text as initiator, expected_minor, amount_minor, currency, status::text as status,
    manual_capture, authorised_minor, captured_minor, refunded_minor, method, sealed_token, reference_id,
    authorization_code, response_code, response_message, next_action_type, next_action_url, result_id, seq, attempt,
    attempt_kind::text as attempt_kind, attempt_epoch, attempt_open, attempt_minor,
    extract(epoch from now() - updated_at)::bigint as unchanged_s, coalesce(deadline < now(), false) as overdue,
    created_at, updated_at
from payment;

create or replace view refund_attempt_record as
select
    a.payment_id, a.n, a.refund_id, a.amount_minor, p.currency, a.epoch, a.state, a.reference_id, a.created_at,
    extract(epoch from now() - a.created_at)::bigint as age_s
from refund_attempt as a
join payment as p on p.id = a.payment_id;

-- A payment to insert. `attempt`: 1 if its charge is begun with it, otherwise 0.
create type new_payment as (
    id uuid,
    order_id uuid,
    user_id uuid,
    initiator text,
    expected_minor bigint,
    amount_minor bigint,
    currency text,
    method text,
    manual_capture boolean,
    sealed_token bytea,
    attempt int,
    attempt_epoch bigint
);

-- The columns of a payment that a transition changes.
create type payment_change as (
    id uuid,
    status text,
    amount_minor bigint,
    currency text,
    authorised_minor bigint,
    captured_minor bigint,
    refunded_minor bigint,
    sealed_token bytea,
    reference_id text,
    authorization_code text,
    response_code text,
    response_message text,
    next_action_type text,
    next_action_url text,
    result_id uuid,
    seq bigint,
    attempt_open boolean
);

-- The simulated provider: an authorised charge is captured in part or in full, and found by its reference.
alter table simulator.operation
    add column captured_minor bigint not null default 0,
    add column manual_capture boolean not null default false;
update simulator.operation set captured_minor = amount_minor where kind = 'charge' and outcome = 'succeeded';
create index operation_charge on simulator.operation (reference) where kind = 'charge';
create index operation_created_at on simulator.operation (created_at);
