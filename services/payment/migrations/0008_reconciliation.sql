-- The ledger compared with the provider's report. One row says when a process last began to compare, and until when all
-- movements are compared.
create table reconciliation_run (
    id             boolean primary key default true constraint reconciliation_run_is_one_row check (id),
    begun_at       timestamptz not null,
    compared_until timestamptz not null
);
insert into reconciliation_run (begun_at, compared_until) values ('-infinity', now());

-- Movements that are not on both sides with the same amount.
create table reconciliation_difference (
    kind           text not null,
    reference_id   text not null,
    category       text not null,
    here_minor     bigint,
    here_currency  text,
    there_minor    bigint,
    there_currency text,
    moved_at       timestamptz not null,
    constraint reconciliation_difference_once primary key (kind, reference_id)
);
create index reconciliation_difference_moved_at on reconciliation_difference (moved_at);

-- The same, as it is stored.
create type reconciliation_row as (
    kind text,
    reference_id text,
    category text,
    here_minor bigint,
    here_currency text,
    there_minor bigint,
    there_currency text,
    moved_at timestamptz
);

-- The journal grows in the order of its times.
create index ledger_journal_at on ledger_journal using brin (at) with (pages_per_range = 16);
create index refund_attempt_reference on refund_attempt (reference_id) where reference_id is not null;
