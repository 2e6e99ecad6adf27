-- Webhooks: endpoints of merchants with their secrets, the events that they receive, and what became of each event there.

-- A deleted endpoint stays until its deliveries are deleted, in batches.
create table webhook_endpoint (
    id uuid not null,
    url text not null,
    description text not null,
    -- Null: all types.
    event_types text[],
    active boolean not null,
    disabled_reason text,
    disabled_at timestamptz,
    -- Since when no delivery has succeeded.
    failing_since timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz,
    constraint webhook_endpoint_pk primary key (id),
    constraint webhook_endpoint_disabled_known check (disabled_reason in ('gone', 'failing')),
    constraint webhook_endpoint_disabled_whole check ((disabled_reason is null) = (disabled_at is null))
);

create index webhook_endpoint_active on webhook_endpoint (id) where active and deleted_at is null;
create index webhook_endpoint_deleted on webhook_endpoint (deleted_at) where deleted_at is not null;

-- Secrets, encrypted. The current one of an endpoint has no end.
create table webhook_secret (
    id uuid not null,
    endpoint_id uuid not null,
    sealed bytea not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    constraint webhook_secret_pk primary key (id),
    constraint webhook_secret_endpoint_fk foreign key (endpoint_id) references webhook_endpoint (id) on delete cascade
);

create index webhook_secret_of_endpoint on webhook_secret (endpoint_id);
create unique index webhook_secret_current on webhook_secret (endpoint_id) where expires_at is null;

-- Events that at least one endpoint receives, in their public form.
create table webhook_event (
    id uuid not null,
    kind text not null,
    body text not null,
    occurred_at timestamptz not null,
    created_at timestamptz not null default now(),
    constraint webhook_event_pk primary key (id)
);

create index webhook_event_by_age on webhook_event (created_at);

-- A lease moves `due_at` on and is identified by the number of attempts. `attempts_before` were made before the last redelivery.
create table webhook_delivery (
    endpoint_id uuid not null,
    event_id uuid not null,
    kind text not null,
    state text not null default 'waiting',
    attempts integer not null default 0,
    attempts_before integer not null default 0,
    due_at timestamptz default now(),
    leased_until timestamptz,
    status_code integer,
    answer text,
    error text,
    last_attempt_at timestamptz,
    delivered_at timestamptz,
    created_at timestamptz not null default now(),
    constraint webhook_delivery_pk primary key (endpoint_id, event_id),
    constraint webhook_delivery_endpoint_fk foreign key (endpoint_id) references webhook_endpoint (id) on delete restrict,
    constraint webhook_delivery_event_fk foreign key (event_id) references webhook_event (id) on delete cascade,
    constraint webhook_delivery_state_known check (state in ('waiting', 'delivered', 'failed')),
    constraint webhook_delivery_due_while_waiting check ((state = 'waiting') = (due_at is not null))
) with (autovacuum_vacuum_scale_factor = 0.02);

create index webhook_delivery_due on webhook_delivery (endpoint_id, due_at) where state = 'waiting';
create index webhook_delivery_leased on webhook_delivery (endpoint_id, leased_until) where leased_until is not null;
create index webhook_delivery_of_event on webhook_delivery (event_id);
create index webhook_delivery_newest on webhook_delivery (endpoint_id, created_at desc, event_id desc);
create index webhook_delivery_by_state on webhook_delivery (endpoint_id, state, created_at desc, event_id desc);

-- A row to store in webhook_event.
create type new_webhook_event as (
    id uuid,
    kind text,
    body text,
    occurred_at timestamptz
);
