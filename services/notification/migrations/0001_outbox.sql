-- The tables of libs/outbox, the same in every service; copied from there.

create table outbox (
    id bigint generated always as identity,
    shard smallint not null,
    topic text not null,
    kind text not null,
    version smallint not null,
    event_id uuid not null,
    aggregate uuid not null,
    seq bigint not null,
    epoch bigint not null,
    trace text,
    correlation_id uuid,
    causation_id uuid,
    data json not null,
    created_at timestamptz not null default now(),
    constraint outbox_pk primary key (id),
    constraint outbox_event_id unique (event_id),
    constraint outbox_aggregate_seq unique (topic, aggregate, seq),
    constraint outbox_seq_positive check (seq > 0),
    constraint outbox_shard_known check (shard between 0 and 15)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

create index outbox_by_shard on outbox (shard, id);

-- Whoever holds the lock of a row sends that shard's facts.
create table outbox_shard (
    shard smallint not null,
    constraint outbox_shard_pk primary key (shard)
);

insert into outbox_shard (shard) select generate_series(0, 15);

create table idempotency (
    scope text not null,
    route text not null,
    key text not null,
    hash bytea not null,
    state text not null,
    point uuid,
    lease_until timestamptz,
    answer json,
    created_at timestamptz not null default now(),
    constraint idempotency_pk primary key (scope, route, key),
    constraint idempotency_point unique (point),
    constraint idempotency_state_known check (state in ('started', 'done')),
    constraint idempotency_done_answered check (state = 'started' or answer is not null)
);

create index idempotency_by_age on idempotency (created_at);

create table inbox (
    consumer text not null,
    event_id uuid not null,
    value json,
    processed_at timestamptz not null default now(),
    constraint inbox_pk primary key (consumer, event_id)
);

create index inbox_by_age on inbox (processed_at);

create table dead_letter (
    id bigint generated always as identity,
    consumer text not null,
    topic text not null,
    partition integer not null,
    "offset" bigint not null,
    key bytea,
    payload bytea not null,
    event_id uuid,
    reason text not null,
    attempts integer not null,
    state text not null default 'open',
    first_at timestamptz not null,
    last_at timestamptz not null default now(),
    constraint dead_letter_pk primary key (id),
    constraint dead_letter_place unique (consumer, topic, partition, "offset"),
    constraint dead_letter_state_known check (state in ('open', 'replayed', 'discarded'))
);
