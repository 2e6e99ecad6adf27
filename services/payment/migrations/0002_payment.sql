-- Payments, their attempts at the provider, the double-entry ledger, and results that an order must still be told.

create table payment (
    id                 uuid primary key,
    order_id           uuid not null,
    user_id            uuid not null,
    -- Who asked for it: a shopper (`request`), whom the order then learns of, or the order itself (`order`).
    door               text not null constraint payment_door check (door in ('request', 'order')),
    -- What the payer believed it costs, and what the order says it costs; null until the order was asked.
    claimed_minor      bigint,
    amount_minor       bigint constraint payment_amount_positive check (amount_minor > 0),
    currency           text constraint payment_currency check (currency ~ '^[A-Z]{3}$'),
    status             text not null constraint payment_status check (
        status in ('pending', 'captured', 'declined', 'failed', 'voided', 'partially_refunded', 'refunded')),
    captured_minor     bigint not null default 0,
    refunded_minor     bigint not null default 0,
    method             text not null,
    -- The provider's token; erased as soon as the payment is settled.
    token              text,
    reference_id       text,
    authorization_code text,
    response_code      text,
    response_message   text,
    result_id          uuid,
    -- Facts that left so far: the last event's place among those of this payment.
    seq                bigint not null default 0,
    -- A driver owns the row until then; the worker resumes a pending row that nobody owns.
    leased_until       timestamptz not null,
    created_at         timestamptz not null default now(),
    updated_at         timestamptz not null default now(),
    constraint payment_refunded_within_captured check (0 <= refunded_minor and refunded_minor <= captured_minor),
    constraint payment_captured_within_amount check (captured_minor <= coalesce(amount_minor, 0)),
    constraint payment_captured_has_money check (
        status not in ('captured', 'partially_refunded', 'refunded') or captured_minor > 0),
    constraint payment_settled_has_no_token check (status in ('pending', 'failed') or token is null)
);
create index payment_order_id on payment (order_id);
create index payment_user_id on payment (user_id, id desc);
create index payment_pending on payment (leased_until) where status = 'pending';

-- Written before the provider is called; `provider_key` is the provider's own idempotency key.
-- A refund keeps its id over its attempts; of a capture `intent_id` is the payment itself.
create table payment_attempt (
    intent_id    uuid not null,
    payment_id   uuid not null constraint payment_attempt_payment_id references payment on delete restrict,
    operation    text not null constraint payment_attempt_operation check (operation in ('capture', 'refund')),
    n            int not null constraint payment_attempt_n_positive check (n > 0),
    amount_minor bigint not null constraint payment_attempt_amount_positive check (amount_minor > 0),
    provider_key text not null constraint payment_attempt_provider_key unique,
    state        text not null constraint payment_attempt_state check (state in ('prepared', 'succeeded', 'failed')),
    reference_id text,
    leased_until timestamptz not null,
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now(),
    constraint payment_attempt_once primary key (payment_id, operation, n)
);
create index payment_attempt_intent_id on payment_attempt (intent_id, n desc);
create index payment_attempt_open on payment_attempt (leased_until) where state = 'prepared';

-- What happened to a payment, in words, for support.
create table payment_log (
    id          bigint generated always as identity primary key,
    payment_id  uuid not null constraint payment_log_payment_id references payment on delete restrict,
    at          timestamptz not null default now(),
    log_message text not null
);
create index payment_log_payment_id on payment_log (payment_id, id);

-- Double entry: each transaction sums to nothing per currency.
create table ledger_txn (
    id   bigint generated always as identity primary key,
    kind text not null constraint ledger_txn_kind check (kind in ('capture', 'refund')),
    ref  uuid not null,
    at   timestamptz not null default now(),
    constraint ledger_txn_once unique (kind, ref)
);
create table ledger_entry (
    id           bigint generated always as identity primary key,
    txn_id       bigint not null constraint ledger_entry_txn_id references ledger_txn on delete restrict,
    account      text not null constraint ledger_entry_account check (account in ('provider', 'seller')),
    seller_id    uuid not null,
    currency     text not null,
    amount_minor bigint not null constraint ledger_entry_amount_moves check (amount_minor <> 0)
);
create index ledger_entry_txn_id on ledger_entry (txn_id);
create index ledger_entry_account_seller on ledger_entry (account, seller_id, currency);

create function ledger_txn_balances() returns trigger language plpgsql as $$
begin
    if exists (select from ledger_entry where txn_id = new.txn_id group by currency having sum(amount_minor) <> 0) then
        raise exception 'ledger transaction % does not balance', new.txn_id using errcode = 'check_violation', constraint = 'ledger_balance';
    end if;
    return null;
end $$;
create constraint trigger ledger_balance after insert on ledger_entry
    deferrable initially deferred for each row execute function ledger_txn_balances();

-- The owner of a table has every right on it, so grants cannot protect it: a trigger refuses.
create function append_only() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation', constraint = tg_table_name || '_append_only';
end $$;
create trigger payment_log_append_only before update or delete or truncate on payment_log execute function append_only();
create trigger ledger_txn_append_only before update or delete or truncate on ledger_txn execute function append_only();
create trigger ledger_entry_append_only before update or delete or truncate on ledger_entry execute function append_only();

-- Results that the order service has not yet taken note of.
create table order_notice (
    result_id  uuid primary key,
    payment_id uuid not null constraint order_notice_payment_id references payment on delete restrict,
    order_id   uuid not null,
    status     text not null,
    due_at     timestamptz not null,
    tries      int not null default 0
);
create index order_notice_due on order_notice (due_at);
create index order_notice_payment_id on order_notice (payment_id);

-- The simulated provider: somebody else's system, so nothing above refers to it and no statement joins it.
create schema simulator;
create table simulator.operation (
    key           text primary key,
    kind          text not null constraint operation_kind check (kind in ('charge', 'refund', 'void')),
    amount_minor  bigint not null,
    currency      text not null,
    outcome       text not null constraint operation_outcome check (outcome in ('succeeded', 'declined', 'never')),
    reference     text not null,
    authorization_code text,
    code          text not null,
    message       text not null,
    created_at    timestamptz not null default now()
);
