-- The functions of libs/outbox, the same in every service; copied from there.
--
-- A service's statement calls them in its final `select … from changed`, so that they run once if the change was applied and
-- not at all otherwise. They are `strict`: a null argument writes nothing.

alter table idempotency rename column point to recovery_id;
alter table idempotency rename constraint idempotency_point to idempotency_recovery_id;

-- A row to append to the outbox. `data` is the event's JSON, stored as it is sent.
create type outbox_event as (
    shard smallint,
    topic text,
    kind text,
    version smallint,
    event_id uuid,
    aggregate uuid,
    seq bigint,
    epoch bigint,
    trace text,
    correlation_id uuid,
    causation_id uuid,
    data text
);

-- A deduplication key with the result that a duplicate returns. Of an event or a command: `consumer` and `event_id`; of a
-- client's request: `scope`, `route`, `key` and `hash`.
create type dedup_record as (
    consumer text,
    event_id uuid,
    scope text,
    route text,
    key text,
    hash bytea,
    result text
);

-- Appends events. Violates outbox_aggregate_seq if a sequence number exists.
create function outbox_append(events outbox_event[]) returns void
language plpgsql strict as $$
begin
    insert into outbox (
        shard, topic, kind, version, event_id, aggregate, seq, epoch, trace, correlation_id, causation_id, data
    )
    select
        e.shard, e.topic, e.kind, e.version, e.event_id, e.aggregate, e.seq, e.epoch, e.trace, e.correlation_id,
        e.causation_id, e.data::json
    from unnest(events) as e;
end
$$;

-- Stores the result of a change. Violates inbox_pk or idempotency_pk if the key is stored already: a concurrent duplicate
-- was faster, and the change must be rolled back.
create function dedup_complete(record dedup_record) returns void
language plpgsql strict as $$
begin
    if record.event_id is not null then
        insert into inbox (consumer, event_id, value)
        values (record.consumer, record.event_id, record.result::json);
    else
        insert into idempotency (scope, route, key, hash, state, answer)
        values (record.scope, record.route, record.key, record.hash, 'done', record.result::json);
    end if;
end
$$;

-- Whether no result is stored under the key of `record`; true without a key.
create function dedup_is_new(record dedup_record) returns boolean
language plpgsql stable as $$
begin
    if record.event_id is not null then
        return not exists (
            select from inbox as i where i.consumer = record.consumer and i.event_id = record.event_id
        );
    end if;
    return not exists (
        select from idempotency as i
        where i.scope = record.scope and i.route = record.route and i.key = record.key
    );
end
$$;

-- Acquires the idempotency lease of the key of `record`. Null if the key is stored already.
create function idempotency_acquire(record dedup_record, recovery_id uuid, duration interval) returns uuid
language plpgsql strict as $$
declare
    acquired uuid;
begin
    insert into idempotency as i (scope, route, key, hash, state, recovery_id, lease_until)
    values (record.scope, record.route, record.key, record.hash, 'started', $2, now() + $3)
    on conflict on constraint idempotency_pk do nothing
    returning i.recovery_id into acquired;
    return acquired;
end
$$;

-- Stores the response of a leased request and ends its lease. Does nothing without a lease or if a response is stored.
create function idempotency_complete(recovery_id uuid, response text) returns void
language plpgsql strict as $$
begin
    update idempotency as i
    set state = 'done', lease_until = null, answer = response::json
    where i.recovery_id = $1 and i.state = 'started';
end
$$;
