-- Events that the broker rejected for good, for example because they are larger than the topic allows; the same in every
-- service, copied from libs/outbox.

create table outbox_set_aside (
    id bigint not null,
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
    created_at timestamptz not null,
    reason text not null,
    set_aside_at timestamptz not null default now(),
    constraint outbox_set_aside_pk primary key (id)
);

-- Takes a row out of the outbox.
create function outbox_set_aside(row_id bigint, reason text) returns void
language sql as $$
    with rejected as (delete from outbox as o where o.id = $1 returning o.*)
    insert into outbox_set_aside
    select
        r.id, r.shard, r.topic, r.kind, r.version, r.event_id, r.aggregate, r.seq, r.epoch, r.trace, r.correlation_id,
        r.causation_id, r.data, r.created_at, $2
    from rejected as r
$$;

-- Sends the set-aside events of a topic again, in their order, once its cause is removed. Returns how many.
-- For an administrator: `select outbox_resend('product-events')`.
create function outbox_resend(topic_name text) returns bigint
language sql as $$
    with again as (delete from outbox_set_aside as s where s.topic = $1 returning s.*), sent as (
        insert into outbox (
            shard, topic, kind, version, event_id, aggregate, seq, epoch, trace, correlation_id, causation_id, data, created_at
        )
        select
            a.shard, a.topic, a.kind, a.version, a.event_id, a.aggregate, a.seq, a.epoch, a.trace, a.correlation_id,
            a.causation_id, a.data, a.created_at
        from again as a
        order by a.id
        returning id
    )
    select count(*) from sent
$$;
