-- Fewer rows for each payment: the newest capture attempt is part of the payment, a capture or refund is one row of the
-- ledger, and the log contains only what no other row says. Every existing row is moved.

-- Enumerations instead of texts: a CHECK on a text is parsed and evaluated for every row written, and cost more than the
-- row. The order of the states is part of the constraints below: money was captured from `captured` on.
create type payment_initiator as enum ('shopper', 'order');
create type payment_status as enum (
    'pending', 'failed', 'declined', 'voided', 'captured', 'partially_refunded', 'refunded'
);

drop index payment_pending;
alter table payment
    drop constraint payment_door,
    drop constraint payment_status,
    drop constraint payment_refunded_within_captured,
    drop constraint payment_captured_within_amount,
    drop constraint payment_captured_has_money,
    drop constraint payment_settled_has_no_token;
alter table payment rename column door to initiator;
alter table payment rename column claimed_minor to expected_minor;
alter table payment
    alter column initiator type payment_initiator
        using (case initiator when 'request' then 'shopper' else initiator end)::payment_initiator,
    alter column status type payment_status using status::payment_status;
alter table payment
    add constraint payment_refunds_within_capture check (
        refunded_minor between 0 and captured_minor and captured_minor <= coalesce(amount_minor, 0)),
    add constraint payment_captured_has_money check ((captured_minor > 0) = (status >= 'captured')),
    add constraint payment_settled_has_no_token check (token is null or status <= 'failed');
create index payment_pending on payment (leased_until) where status = 'pending';

-- The newest capture attempt: number, recovery epoch of its provider key, and whether its outcome is unknown.
alter table payment
    add column attempt int not null default 0,
    add column attempt_epoch bigint not null default 0,
    add column attempt_open boolean not null default false;

update payment as p
set attempt = a.n,
    attempt_epoch = split_part(a.provider_key, ':', 1)::bigint,
    attempt_open = a.state = 'prepared' and p.status = 'pending'
from (
    select distinct on (payment_id) payment_id, n, provider_key, state
    from payment_attempt
    where operation = 'capture'
    order by payment_id, n desc
) as a
where p.id = a.payment_id;

-- Attempts before the newest one failed.
insert into payment_log (payment_id, at, log_message)
select
    a.payment_id, a.updated_at,
    format(
        'capture attempt %s (%s, amount %s, begun at %s) %s', a.n, a.provider_key, a.amount_minor, a.created_at, a.state
    )
from payment_attempt as a
join payment as p on p.id = a.payment_id
where a.operation = 'capture' and a.n < p.attempt;

alter table payment add constraint payment_open_attempt_is_pending check (
    not attempt_open or (status = 'pending' and amount_minor is not null));

-- A payment as the service reads it.
create view payment_record as
select
    id, order_id, user_id, initiator::text as initiator, expected_minor, amount_minor, currency, status::text as status,
    refunded_minor, method, token, reference_id, authorization_code, response_code, response_message, result_id, seq,
    attempt, attempt_epoch, attempt_open, created_at, updated_at
from payment;

-- A call to the provider for a refund, stored before the call. A refund keeps its id over its attempts.
create table refund_attempt (
    payment_id   uuid not null constraint refund_attempt_payment_id references payment on delete restrict,
    n            int not null constraint refund_attempt_n_positive check (n > 0),
    refund_id    uuid not null,
    amount_minor bigint not null constraint refund_attempt_amount_positive check (amount_minor > 0),
    epoch        bigint not null,
    state        text not null constraint refund_attempt_state check (state in ('prepared', 'succeeded', 'failed')),
    reference_id text,
    leased_until timestamptz not null,
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now(),
    constraint refund_attempt_once primary key (payment_id, n)
);

insert into refund_attempt (
    payment_id, n, refund_id, amount_minor, epoch, state, reference_id, leased_until, created_at, updated_at
)
select
    payment_id, n, intent_id, amount_minor, split_part(provider_key, ':', 1)::bigint, state, reference_id, leased_until,
    created_at, updated_at
from payment_attempt
where operation = 'refund';

create index refund_attempt_refund_id on refund_attempt (refund_id, n desc);
create index refund_attempt_open on refund_attempt (leased_until) where state = 'prepared';

-- A refund attempt as the service reads it.
create view refund_attempt_record as
select
    a.payment_id, a.n, a.refund_id, a.amount_minor, p.currency, a.epoch, a.state, a.reference_id, a.created_at
from refund_attempt as a
join payment as p on p.id = a.payment_id;

-- Double entry: a row debits one account and credits another with the same amount, so that it balances by itself.
create type ledger_kind as enum ('capture', 'refund');
create type ledger_account as enum ('provider', 'seller');
create table ledger_journal (
    kind         ledger_kind not null,
    -- The payment of a capture, the refund of a refund.
    ref          uuid not null,
    payment_id   uuid not null,
    -- `provider`: the amount that the provider owes the shop. `seller`: the amount that the shop owes a seller.
    debit        ledger_account not null,
    credit       ledger_account not null,
    seller_id    uuid not null,
    currency     text not null,
    amount_minor bigint not null,
    at           timestamptz not null default now(),
    constraint ledger_journal_once primary key (ref, kind),
    constraint ledger_journal_moves check (amount_minor > 0 and debit <> credit)
);

insert into ledger_journal (kind, ref, payment_id, debit, credit, seller_id, currency, amount_minor, at)
select
    t.kind::ledger_kind, t.ref, coalesce(a.payment_id, t.ref), debit.account::ledger_account,
    credit.account::ledger_account, seller.seller_id, debit.currency, debit.amount_minor, t.at
from ledger_txn as t
join ledger_entry as debit on debit.txn_id = t.id and debit.amount_minor > 0
join ledger_entry as credit on credit.txn_id = t.id and credit.amount_minor < 0
join ledger_entry as seller on seller.txn_id = t.id and seller.account = 'seller'
left join refund_attempt as a on t.kind = 'refund' and a.refund_id = t.ref and a.state = 'succeeded'
order by t.id;

do $$
begin
    if (select (count(*), coalesce(sum(amount_minor), 0)) from ledger_journal)
        is distinct from (select (count(distinct txn_id), coalesce(sum(amount_minor) filter (where amount_minor > 0), 0)) from ledger_entry)
    then
        raise exception 'the ledger contains a transaction that is not one debit and one credit';
    end if;
end $$;

create trigger ledger_journal_append_only before update or delete or truncate on ledger_journal
    execute function append_only();

drop table ledger_entry;
drop table ledger_txn;
drop function ledger_txn_balances();
drop table payment_attempt;

-- The ledger by account.
create view ledger_entry as
select j.kind::text as kind, j.ref, j.payment_id, j.at, e.account::text as account, j.seller_id, j.currency, e.amount_minor
from ledger_journal as j
cross join lateral (values (j.debit, j.amount_minor), (j.credit, -j.amount_minor)) as e (account, amount_minor);

-- Results that the order service has not acknowledged. Written for a payment that a shopper started, and for refunds that
-- the order did not request.
alter table order_notice rename to pending_order_callback;
alter table pending_order_callback drop constraint order_notice_payment_id;
alter table pending_order_callback rename constraint order_notice_pkey to pending_order_callback_once;
drop index order_notice_payment_id;
alter index order_notice_due rename to pending_order_callback_due;

-- The simulated provider.
create type simulator.kind as enum ('charge', 'refund', 'void');
create type simulator.outcome as enum ('succeeded', 'declined', 'never');
alter table simulator.operation drop constraint operation_kind, drop constraint operation_outcome;
alter table simulator.operation
    alter column kind type simulator.kind using kind::simulator.kind,
    alter column outcome type simulator.outcome using outcome::simulator.outcome;

-- A payment to insert. `attempt`: 1 if its first attempt to capture is begun with it, otherwise 0.
create type new_payment as (
    id uuid,
    order_id uuid,
    user_id uuid,
    initiator text,
    expected_minor bigint,
    amount_minor bigint,
    currency text,
    method text,
    token text,
    attempt int,
    attempt_epoch bigint
);

-- The columns of a payment that a transition changes.
create type payment_change as (
    id uuid,
    status text,
    amount_minor bigint,
    currency text,
    captured_minor bigint,
    refunded_minor bigint,
    token text,
    reference_id text,
    authorization_code text,
    response_code text,
    response_message text,
    result_id uuid,
    seq bigint,
    attempt_open boolean
);

-- A row of the ledger.
create type ledger_posting as (
    kind text,
    ref uuid,
    payment_id uuid,
    debit text,
    credit text,
    seller_id uuid,
    currency text,
    amount_minor bigint
);
